"""Errors of CRM."""

from __future__ import annotations

from chassis.problems import Conflict, Invalid, NotFound


class UnknownCustomer(NotFound):
    slug, title = "unknown-customer", "There is no such customer"


class MergedAway(Conflict):
    slug, title = "customer-merged-away", "The customer was merged into another one"


class NotMerged(NotFound):
    slug, title = "not-merged", "The one customer was not merged into the other"


class CannotSplit(Invalid):
    slug, title = "cannot-split", "These orders cannot be taken out of the customer"
