"""Which letters wait for which: each lane has connections of its own, so no flood in one delays another."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from services.notifications.letters import Template


class Lane(IntEnum):
    URGENT = 0
    """Somebody sits and waits for it: codes and links to sign in, what staff send while the buyer is on the phone."""
    ORDINARY = 1
    BULK = 2
    """Thousands become due at one moment, and none of them minds an hour."""


_LANES: Mapping[Template, Lane] = {
    Template.OPEN_ACCOUNT: Lane.URGENT,
    Template.SIGN_IN: Lane.URGENT,
    Template.SHOW_REMINDER: Lane.BULK,
}
"""Of the templates that are not `ORDINARY`."""


def lane_of(template: Template, *, asked_for: bool) -> Lane:
    """`asked_for`: staff want it sent now."""
    return Lane.URGENT if asked_for else _LANES.get(template, Lane.ORDINARY)
