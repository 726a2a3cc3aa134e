"""Errors of CRM."""

from __future__ import annotations

from chassis.problems import NotFound


class UnknownCustomer(NotFound):
    slug, title = "unknown-customer", "There is no such customer"
