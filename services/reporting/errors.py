"""Errors of reporting."""

from __future__ import annotations

from chassis.problems import NotFound


class UnknownShow(NotFound):
    slug, title = "unknown-show", "No report knows this show"
