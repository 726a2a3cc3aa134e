"""What is asked of a lane, and what it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from contracts.ticketing import Channel
from services.ticketing.holds.terms import total
from services.ticketing.holds.wanted import mark
from services.ticketing.shows.best import Best
from services.ticketing.shows.layout import Layout, Offer, Places


@dataclass(frozen=True, slots=True)
class Granted:
    """The seats are the buyer's until `expires_at`. `repeated` if this very hold was placed before."""

    expires_at: datetime
    seats: tuple[Offer, ...]
    repeated: bool = False
    places: tuple[Places, ...] = ()
    channel: str = Channel.SITE

    @property
    def total(self) -> int:
        """In minor units."""
        return total(self.seats, self.places)


@dataclass(frozen=True, slots=True)
class Refused:
    """`why` is taken, short, apart, greedy, closed, stale, ended or other."""

    why: str
    seats: tuple[str, ...] = ()
    left: dict[UUID, int] | None = None
    """Of a short one: how many places are left of the areas that have not enough."""
    most: int = 0
    """The limit that a greedy one would pass; of one that is apart, how many there are together."""


Answer = Granted | Refused


@dataclass(eq=False, slots=True)
class Request:
    """One hold that is asked for. `seats` are in key order, each once, and for sale in `layout`."""

    hold_id: UUID
    layout: Layout
    seats: tuple[Offer, ...]
    lifetime: timedelta
    latest: timedelta | None
    """However often it is extended, it ends then; when the show begins if None."""
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
    places: tuple[Places, ...] = ()
    """In order of area and fare, each once."""
    channel: str = Channel.SITE
    name: str | None = None
    """Who the ticket desk keeps it for."""
    note: str | None = None
    clerk_id: UUID | None = None
    best: Best | None = None
    """What is to be chosen for it; `seats` are what was chosen."""
    kept: tuple[str, ...] = ()
    """Seats that are kept from others of its batch."""
    looked: bool = False
    """Whether the seats were read from the database for it."""
    placed: bool = False
    """Whether it was found that this hold exists: the statement only says so."""
    unheard: bool = False
    """Whether an attempt got no answer: that one may have placed it."""
    joined: float = field(default_factory=time.perf_counter)
    keys: tuple[str, ...] = field(init=False)
    """The ids of the seats."""
    text_id: str = field(init=False)
    units: int = field(init=False)
    """How many seats and places."""
    asked: str = field(init=False)
    """By which the same request is known again."""

    def __post_init__(self) -> None:
        self.keys = tuple([seat.seat for seat in self.seats])
        self.text_id = str(self.hold_id)
        self.units = len(self.seats)
        if self.places:
            self.units += sum([each.quantity for each in self.places])
        self.asked = mark(self.seats, self.places)
        if self.best is not None:
            self.units, self.asked = self.best.quantity, repr(self.best)

    def take(self, seats: Sequence[str]) -> None:
        """Wants these seats, at the fare that was asked for."""
        fare, offers = self.best.fare if self.best else None, self.layout.offers
        found = [offers[seat] if fare is None else offers.at(seat, fare) for seat in sorted(seats)]
        self.seats = tuple([each for each in found if each is not None])
        self.keys = tuple([each.seat for each in self.seats])

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
