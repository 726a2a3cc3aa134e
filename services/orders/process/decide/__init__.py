"""Every transition of an order (sections 1.4, 1.6 and 12 of the requirements; GAP-8, GAP-15, GAP-18), by subject."""

from __future__ import annotations

from services.orders.process.decide import buying, ending, facts, holds, payments, refunds, tickets
from services.orders.process.decide.dispatch import NotPossible, on
from services.orders.process.happenings import Happening
from services.orders.process.settle import asked_by_hand
from services.orders.process.state import State
from services.orders.process.steps import Decision

__all__ = ["NotPossible", "buying", "decide", "ending", "facts", "holds", "payments", "refunds", "tickets"]


def decide(state: State, happening: Happening) -> Decision:
    """The order after `happening`, and what must be told and posted. Raises `NotPossible` for requests of people."""
    after, commands = on(happening, state)
    return after, (*commands, *asked_by_hand(state, after))
