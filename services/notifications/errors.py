"""What can be wrong with a request."""

from __future__ import annotations

from chassis.problems import Conflict


class NobodyToWrite(Conflict):
    slug, title = "nobody-to-write", "The order has no address to write to"


class ContentsForgotten(Conflict):
    slug, title = "contents-forgotten", "What the message said is no longer kept"


class StillOnItsWay(Conflict):
    slug, title = "still-on-its-way", "The message has not been sent yet"
