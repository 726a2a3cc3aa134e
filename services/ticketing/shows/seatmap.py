"""The state of every seat of a show, answered from memory.

A map is read whole from the database when a show is first looked at. After that it learns from the lane of this process
and from the service's own events (also those of other processes) which seats changed, and reads just those again before
it answers; so the order in which events arrive does not matter. Should an event be missed, the whole map is read
anew every few seconds. It is for looking: the statement that takes seats never asks it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from aiokafka import ConsumerRecord
from sqlalchemy import text

from chassis.db import Database
from contracts.envelope import Event, EventData, type_of
from contracts.ticketing import (
    HoldConversionRefused,
    HoldExtended,
    HoldPlaced,
    HoldReleased,
    ShowState,
    TicketsIssued,
    TicketsVoided,
)
from services.ticketing import metrics
from services.ticketing.kept import Kept
from services.ticketing.shows.best import Chooser
from services.ticketing.shows.board import MOST_SEATS, Board
from services.ticketing.shows.layout import Layout

if TYPE_CHECKING:
    from services.ticketing.holds.requests import Request

FREE, HELD, SOLD, BLOCKED = b"fhsb"
NAMES = {FREE: "free", HELD: "held", SOLD: "sold", BLOCKED: "blocked"}
LEGEND = {chr(code): name for code, name in NAMES.items()}
OWN_HOLDS = 10_000
UNHEARD = UUID(int=0)
"""Holds a seat as long as it is not known who does."""

READ = text("""
    SELECT seat, hold_id, until = 'infinity' AS sold
    FROM held_seat
    WHERE show_id = :show_id AND (CAST(:seats AS text[]) IS NULL OR seat = ANY(CAST(:seats AS text[])))
""")


LEFT = text('SELECT id, capacity - taken AS "left" FROM area WHERE show_id = :show_id')
VERSION = text("SELECT version FROM show WHERE id = :show_id")


class View:
    """An answer. Each form is written when somebody first asks for it: in an on-sale the map changes all the time, and
    most lookers ask for one form."""

    def __init__(
        self,
        show_id: UUID,
        version: int,
        seats: Collection[str],
        states: bytes,
        areas: Sequence[dict[str, Any]] = (),
    ) -> None:
        self._head = {"show_id": str(show_id), "version": version, "areas": areas}
        self._seats = seats
        self._states = states

    @cached_property
    def etag(self) -> str:
        told = self._states + orjson.dumps(self._head["areas"])
        return f'"{hashlib.blake2b(told, digest_size=12).hexdigest()}"'

    @cached_property
    def full(self) -> bytes:
        states = {seat: NAMES[state] for seat, state in zip(self._seats, self._states, strict=True)}
        return orjson.dumps({**self._head, "seats": states})

    @cached_property
    def compact(self) -> bytes:
        return orjson.dumps({**self._head, "states": self._states.decode(), "legend": LEGEND})


class _Map:
    """The seats of one show. `version` grows with every change."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.index = layout.places.order
        self.states = bytearray(FREE if for_sale else BLOCKED for for_sale in layout.offers.each())
        self.holds: dict[str, UUID] = {}
        self.version = int(time.time() * 1000)
        self.dirty: set[str] = set()
        self.taken_meanwhile: set[str] = set()
        self.read_at = float("-inf")
        self.current = True
        self.lock = asyncio.Lock()
        self._view: tuple[int, View] | None = None
        self.left: dict[UUID, int] = {}
        """How many places each area has left."""
        self.counted = False
        """Whether no event has told of places since they were counted."""
        self._read_once = False
        self._chooser: Chooser | None = None

    @property
    def chooser(self) -> Chooser:
        if self._chooser is None:
            self._chooser = Chooser(self.layout, self.states, FREE)
        return self._chooser

    def count(self, left: dict[UUID, int]) -> None:
        if self.left != left:
            self.left = left
            self.version += 1

    @property
    def areas(self) -> list[dict[str, Any]]:
        return [
            {"area_id": str(key), "name": area.name, "capacity": area.capacity, "left": self.left.get(key, 0)}
            for key, (area, _) in self.layout.areas.items()
        ]

    def free(self, seat: str) -> None:
        self.holds.pop(seat, None)
        self._set(seat, FREE if seat in self.layout.offers else BLOCKED)

    def take(self, seat: str, hold_id: UUID, *, sold: bool = False) -> None:
        self.holds[seat] = hold_id
        self._set(seat, SOLD if sold else HELD)

    @property
    def known(self) -> bool:
        """Whether it was ever read."""
        return self.current and self._read_once

    def was_read(self) -> None:
        self.read_at = time.monotonic()
        self._read_once = True

    def is_old(self, refresh_seconds: float) -> bool:
        return time.monotonic() - self.read_at > refresh_seconds

    def must_read(self, refresh_seconds: float) -> bool:
        return bool(self.dirty) or not self.counted or self.is_old(refresh_seconds)

    def view(self) -> View:
        if self._view is None or self._view[0] != self.version:
            show_id, seats = self.layout.show_id, self.layout.places
            self._view = self.version, View(show_id, self.version, seats, bytes(self.states), self.areas)
        return self._view[1]

    def _set(self, seat: str, state: int) -> None:
        position = self.index.get(seat)
        if position is not None and self.states[position] != state:
            self.states[position] = state
            self.version += 1
            if self._chooser is not None:
                self._chooser.changed(position)


class SeatMaps:
    """The maps of the shows that somebody looks at."""

    def __init__(self, db: Database, board: Board, refresh_seconds: float, most_seats: int = MOST_SEATS) -> None:
        self._db = db
        self._board = board
        self._refresh_seconds = refresh_seconds
        self._maps: Kept[_Map] = Kept(most_seats)
        self._placed_here: OrderedDict[bytes, None] = OrderedDict()

    async def view(self, show_id: UUID) -> tuple[Layout, View]:
        """The seats as they are now. Raises `NoSuchShow`."""
        found = await self._current(show_id)
        return found.layout, found.view()

    def held_by(self, show_id: UUID, holds: set[UUID]) -> list[str]:
        """The seats that some holds have, as far as they are in memory."""
        found = self._maps.get(show_id)
        return sorted(seat for seat, hold in found.holds.items() if hold in holds) if found and holds else []

    async def ready(self, show_id: UUID) -> None:
        """Knows the seats as they are now, to choose from. Raises `NoSuchShow`."""
        await self._current(show_id)

    def chooser(self, show_id: UUID) -> tuple[Layout, Chooser] | tuple[None, None]:
        """What chooses from the seats of a show, as far as they are in memory."""
        found = self._maps.get(show_id)
        return (None, None) if found is None or not found.known else (found.layout, found.chooser)

    def lost(self, show_id: UUID, seats: Sequence[str]) -> None:
        """Somebody has these seats, and we have not heard of it."""
        found = self._maps.get(show_id)
        if found is not None:
            for seat in seats:
                found.take(seat, UNHEARD)
            found.dirty.update(seats)

    async def reread(self, show_id: UUID) -> None:
        """Reads all seats of a show, however lately that was done."""
        found = self._maps.get(show_id)
        if found is not None:
            found.read_at = float("-inf")
        await self._current(show_id)

    async def _current(self, show_id: UUID) -> _Map:
        found = self._maps.get(show_id) or await self._open(show_id)
        if found.must_read(self._refresh_seconds):
            async with found.lock:
                if found.must_read(self._refresh_seconds):
                    await self._read(found)
        if not found.current:
            found = await self._open(show_id)
            await self._read(found)
        return found

    async def _open(self, show_id: UUID) -> _Map:
        layout = await self._board.get(show_id)
        known = self._maps.get(show_id)
        if known is None:
            known = _Map(layout)
            self._maps.keep(show_id, known, len(layout.places))
        return known

    def forget(self, show_id: UUID) -> None:
        """The show itself was changed; what is known of it is read anew."""
        self._board.forget(show_id)
        self._maps.forget(show_id)

    def wants(self, record: ConsumerRecord[bytes, bytes]) -> bool:
        """Whether an event may say something new: not of holds that the lane of this process has just placed."""
        if type_of(record.headers) != HoldPlaced.event_type:
            return True
        return len(self._maps) > 0 and record.key not in self._placed_here

    def taken(self, requests: Sequence[Request]) -> None:
        """The lane of this process took seats; later events about them say nothing new."""
        for request in requests:
            self._placed_here[request.text_id.encode()] = None
            found = self._maps.get(request.layout.show_id)
            if found is not None:
                found.taken_meanwhile.update(request.keys)
                for seat in request.keys:
                    found.take(seat, request.hold_id)
                if request.places:
                    found.counted = False
        while len(self._placed_here) > OWN_HOLDS:
            self._placed_here.popitem(last=False)

    def touch(self, show_id: UUID, seats: Iterable[str] | None = None, *, places: bool = False) -> None:
        """Some seats of a show may have changed, or all; or how many places are left."""
        found = self._maps.get(show_id)
        if found is None:
            return
        if places:
            found.counted = False
        if seats is None:
            found.read_at = float("-inf")
        else:
            found.dirty.update(seats)

    def hear(self, event: Event[EventData]) -> None:
        """What an event of the service says of seats."""
        match event.data:
            case ShowState() as show:
                self.forget(show.show_id)
            case HoldPlaced() as hold:
                found = self._maps.get(hold.show_id)
                if found is not None:
                    unknown = [seat.seat for seat in hold.seats if found.holds.get(seat.seat) != hold.hold_id]
                    found.dirty.update(unknown)
                    found.counted = found.counted and not hold.places
            case HoldExtended() as hold:
                named = bool(hold.seats or hold.places)
                self.touch(hold.show_id, hold.seats if named else None, places=bool(hold.places))
            case HoldReleased() | HoldConversionRefused() as ended:
                self.touch(ended.show_id, ended.seats, places=bool(ended.places))
            case TicketsIssued() | TicketsVoided() as issued:
                seats = [ticket.seat for ticket in issued.tickets if ticket.seat]
                self.touch(issued.show_id, seats, places=any(ticket.area for ticket in issued.tickets))
            case _:
                pass

    async def _read(self, found: _Map) -> None:
        whole = found.is_old(self._refresh_seconds)
        dirty, found.dirty = found.dirty, set()
        # What the lane takes while the statements run is newer than what they see.
        found.taken_meanwhile = set()
        found.counted = True
        metrics.SEATMAP_READS.labels("whole" if whole else "seats").inc()
        parameters = {"show_id": found.layout.show_id, "seats": None if whole else sorted(dirty)}
        try:
            async with self._db.as_worker() as session:
                if whole:
                    version = await session.scalar(VERSION, {"show_id": found.layout.show_id})
                    if version != found.layout.version:
                        self.forget(found.layout.show_id)
                        found.current = False
                        return
                rows = (await session.execute(READ, parameters)).all()
                places = await session.execute(LEFT, {"show_id": found.layout.show_id}) if found.layout.areas else ()
                found.count({row.id: row.left for row in places})
        except BaseException:
            found.dirty |= dirty
            found.counted = False
            raise
        present = {row.seat for row in rows}
        for seat in list(found.holds) if whole else dirty:
            if seat not in present and seat not in found.taken_meanwhile:
                found.free(seat)
        for row in rows:
            if row.seat not in found.taken_meanwhile:
                found.take(row.seat, row.hold_id, sold=row.sold)
        if whole:
            found.was_read()
