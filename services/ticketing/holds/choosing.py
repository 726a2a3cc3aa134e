"""Choosing the best seats for requests of a lane.

What is chosen is taken by the same statement as what people name: if somebody was quicker, it is chosen again. When
memory knows nothing that fits, the seats are read from the database before anybody is told so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from uuid import UUID

from sqlalchemy import select

from chassis.db import Database
from services.ticketing.holds.requests import Request
from services.ticketing.holds.tables import Hold
from services.ticketing.shows.seatmap import SeatMaps

TRIES = 8
"""How often it is chosen around seats that the same batch wants."""


class Chosen(Enum):
    YES = "yes"
    LATER = "later"
    """Others of the batch may get what would fit."""
    UNSURE = "unsure"
    """Memory knows nothing that fits."""
    STALE = "stale"
    """The request knows an older version of the show."""


class Choosing:
    def __init__(self, maps: SeatMaps, db: Database) -> None:
        self._maps = maps
        self._db = db

    def choose(self, request: Request, wanted: Collection[tuple[str, str]]) -> Chosen:
        """Chooses seats for a request, none of those that its batch wants."""
        if request.best is None or request.placed:
            return Chosen.YES
        layout = request.layout
        known, chooser = self._maps.chooser(layout.show_id)
        if known is None or chooser is None or known.version < layout.version:
            return Chosen.UNSURE
        if known.version > layout.version:
            return Chosen.STALE
        for _ in range(TRIES):
            seats = chooser.choose(request.best)
            if not seats:
                return Chosen.LATER if chooser.keeps_any else Chosen.UNSURE
            chooser.keep(seats)
            request.kept += seats
            if wanted and any((layout.text_id, seat) in wanted for seat in seats):
                continue
            request.take(seats)
            return Chosen.YES
        return Chosen.LATER

    def let_go(self, requests: Iterable[Request]) -> None:
        """A batch is over: what it got is in the map."""
        for request in requests:
            if request.kept:
                _, chooser = self._maps.chooser(request.layout.show_id)
                if chooser is not None:
                    chooser.let_go(request.kept)
                request.kept = ()

    def lost(self, request: Request, seats: Sequence[str]) -> None:
        """Somebody else has these."""
        self._maps.lost(request.layout.show_id, seats)
        request.looked = False
        request.take(())

    def most(self, request: Request) -> int:
        _, chooser = self._maps.chooser(request.layout.show_id)
        return chooser.most(request.best) if chooser is not None and request.best is not None else 0

    async def look(self, show_id: UUID, requests: Sequence[Request]) -> None:
        """Reads the seats of a show from the database, and whether the requests were answered before."""
        await self._maps.reread(show_id)
        async with self._db.as_worker() as session:
            ids = [request.hold_id for request in requests]
            known = set(await session.scalars(select(Hold.id).where(Hold.id.in_(ids))))
        for request in requests:
            request.looked, request.placed = True, request.hold_id in known
