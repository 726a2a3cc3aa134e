"""How many seats of a show one buyer may hold at once, so that nobody empties a hall without buying.

A buyer is an account or, signed out, the address that the gateway names. Counted in the memory of this process: with n
processes the limit is n times as high. The ticket desk has no limit, nor has this machine in development.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.edge import Caller
from contracts.envelope import Event, EventData
from contracts.ticketing import HoldExtended, HoldReleased, TicketsIssued
from services.ticketing.errors import OutcomeUnknown, TooManyHeld
from services.ticketing.holds.place import BoxOffice, at_desk
from services.ticketing.settings import Settings
from services.ticketing.shows.board import Board

Holder = tuple[UUID | str, UUID]
"""A buyer and a show."""


@dataclass(slots=True)
class _Held:
    holder: Holder
    seats: int
    end: float


class Allowance:
    """Stands in front of the box office."""

    def __init__(
        self, box_office: BoxOffice, board: Board, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._box_office = box_office
        self._board = board
        self._settings = settings
        self._clock = clock
        self._local = settings.footlights_env != "production"
        self._held: dict[UUID, _Held] = {}
        self._ends: list[tuple[float, UUID]] = []
        self._totals: Counter[Holder] = Counter()

    async def place(
        self, show_id: UUID, hold_id: UUID, seats: Sequence[str], caller: Caller, address: str
    ) -> tuple[bool, bytes]:
        """What `BoxOffice.place` does. Raises `TooManyHeld` besides."""
        buyer: UUID | str | None = caller.account_id or address
        limit = self._settings.buyer_max_seats if caller.account_id else self._settings.address_max_seats
        if not buyer or not limit or (self._local and _is_loopback(address)):
            return await self._box_office.place(show_id, hold_id, seats, caller)
        layout = await self._board.get(show_id)
        if at_desk(caller, layout):
            return await self._box_office.place(show_id, hold_id, seats, caller)
        new = self._take((buyer, show_id), hold_id, len(seats), limit, layout.hold_seconds)
        try:
            return await self._box_office.place(show_id, hold_id, seats, caller)
        except OutcomeUnknown:
            raise  # the buyer may have the seats
        except Exception:
            if new:
                self._forget(hold_id)
            raise

    def hear(self, event: Event[EventData]) -> None:
        """Holds that live longer count longer; those that ended or were bought count no more."""
        match event.data:
            case HoldReleased() as ended:
                self._forget(ended.hold_id)
            case TicketsIssued() as issued:
                self._forget(issued.order_id)
            case HoldExtended() as extended if extended.hold_id in self._held:
                self._keep(extended.hold_id, extended.expires_at.timestamp())
            case _:
                pass

    def _take(self, holder: Holder, hold_id: UUID, seats: int, limit: int, lifetime: float | None) -> bool:
        """Counts the seats before they are asked for: requests at the same time must not pass together. False if the
        hold is counted already."""
        now = self._clock()
        self._expire(now)
        if hold_id in self._held:
            return False
        held = self._totals[holder]
        if held + seats > limit:
            raise TooManyHeld(
                f"You hold {held} seats of this show, the most at once are {limit}. Pay for them, or let go of some.",
                held=held,
                limit=limit,
            )
        self._held[hold_id] = _Held(holder, seats, now)
        self._totals[holder] += seats
        self._keep(hold_id, now + (lifetime or self._settings.hold_seconds))
        return True

    def _keep(self, hold_id: UUID, end: float) -> None:
        self._held[hold_id].end = end
        heapq.heappush(self._ends, (end, hold_id))

    def _expire(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, hold_id = heapq.heappop(self._ends)
            held = self._held.get(hold_id)
            if held is not None and held.end <= now:
                self._forget(hold_id)

    def _forget(self, hold_id: UUID) -> None:
        held = self._held.pop(hold_id, None)
        if held is not None:
            self._totals[held.holder] -= held.seats
            if not self._totals[held.holder]:
                del self._totals[held.holder]


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
