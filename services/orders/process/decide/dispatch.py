"""Which transition decides which happening: each module of this package registers its own."""

from __future__ import annotations

from functools import singledispatch

from services.orders.process.happenings import Happening
from services.orders.process.state import State
from services.orders.process.steps import Decision


class NotPossible(Exception):
    """What a person asks does not fit the order's state. Facts are never refused."""


@singledispatch
def on(happening: Happening, state: State) -> Decision:
    raise TypeError(f"nothing decides {happening!r}")
