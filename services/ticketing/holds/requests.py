"""What is asked of a lane, and what it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.ticketing.shows.layout import Layout, Offer


def total(seats: Iterable[Offer]) -> int:
    """What the seats cost together, in minor units."""
    return sum(seat.price.minor for seat in seats)


@dataclass(frozen=True, slots=True)
class Granted:
    """The seats are the buyer's until `expires_at`. `repeated` if this very hold was placed before."""

    expires_at: datetime
    seats: tuple[Offer, ...]
    repeated: bool = False

    @property
    def total(self) -> int:
        return total(self.seats)


@dataclass(frozen=True, slots=True)
class Refused:
    """`why` is taken, greedy, closed, stale, ended or other."""

    why: str
    seats: tuple[str, ...] = ()
    most: int = 0
    """The limit that a greedy one would pass."""


Answer = Granted | Refused


@dataclass(eq=False, slots=True)
class Request:
    """One hold that is asked for. `seats` are in key order, each once, and for sale in `layout`."""

    hold_id: UUID
    layout: Layout
    seats: tuple[Offer, ...]
    lifetime: timedelta
    latest: timedelta
    account_id: UUID | None
    traceparent: str | None
    future: asyncio.Future[Answer]
    deadline: float
    buyer: UUID | None = None
    """The account whose seats are counted, if it is a proven person's."""
    network: str | None = None
    """Where it is asked for, if that is counted."""
    desk: bool = False
    """Whether it comes from the organisation's ticket desk."""
    staff: bool = False
    """Whether it comes from others of its staff: they buy for somebody, and have no account of a buyer."""
    unheard: bool = False
    """Whether an attempt got no answer: that one may have placed it."""
    joined: float = field(default_factory=time.perf_counter)
    keys: tuple[str, ...] = field(init=False)
    """The ids of the seats."""
    text_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.keys = tuple([seat.seat for seat in self.seats])
        self.text_id = str(self.hold_id)

    @property
    def granted(self) -> bool:
        future = self.future
        if not future.done() or future.cancelled() or future.exception() is not None:
            return False
        return isinstance(future.result(), Granted)

    def may_repeat(self, account_id: UUID | None, network: str | None) -> bool:
        """Whether whoever asks may be told of a hold that this account or network has: its id is no credential."""
        if self.desk or self.unheard:
            return True
        if self.staff:
            return False
        if account_id is not None or self.account_id is not None:
            return account_id == self.account_id
        return network == self.network

    def answer(self, answer: Answer) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
