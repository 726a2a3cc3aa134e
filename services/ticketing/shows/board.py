"""The layouts of shows, in memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from contracts.money import Money
from contracts.ticketing import ShowStatus
from services.ticketing.errors import NoSuchShow
from services.ticketing.halls.places import Place, places
from services.ticketing.halls.tables import Hall
from services.ticketing.people import profile_of
from services.ticketing.shows.layout import Layout, ZoneSpec, offers
from services.ticketing.shows.tables import PriceZoneRow, Show

KEPT = 200

T = TypeVar("T")


class Board:
    """Layouts by show, read from the database when they are missing or too old. Plans of halls never change."""

    def __init__(self) -> None:
        self._db: Database | None = None
        self._layouts: OrderedDict[UUID, Layout] = OrderedDict()
        self._halls: OrderedDict[UUID, tuple[str, dict[str, Place]]] = OrderedDict()
        self._loading: dict[UUID, asyncio.Task[Layout]] = {}

    def attach(self, db: Database) -> None:
        """The database to read from; the board is made before it."""
        self._db = db

    def peek(self, show_id: UUID) -> Layout | None:
        """The layout that is in memory."""
        layout = self._layouts.get(show_id)
        if layout is not None:
            self._layouts.move_to_end(show_id)
        return layout

    async def get(self, show_id: UUID, at_least: int = 0) -> Layout:
        """The layout at `at_least` this version of the show. Raises `NoSuchShow`."""
        layout = self.peek(show_id)
        if layout is not None and layout.version >= at_least:
            return layout
        return await self.reload(show_id)

    async def reload(self, show_id: UUID) -> Layout:
        """The layout as it is in the database now; callers at the same time share one reading."""
        task = self._loading.get(show_id)
        if task is None:
            task = asyncio.create_task(self._read(show_id))
            self._loading[show_id] = task
            task.add_done_callback(lambda _: self._loading.pop(show_id, None))
        return await asyncio.shield(task)

    def forget(self, show_id: UUID) -> None:
        self._layouts.pop(show_id, None)

    async def _read(self, show_id: UUID) -> Layout:
        if self._db is None:
            raise RuntimeError("the board has no database yet")
        async with self._db.as_worker() as session:
            layout = await self.read(session, show_id)
        known = self._layouts.get(show_id)
        if known is None or known.version <= layout.version:
            _keep(self._layouts, show_id, layout)
        return layout

    async def read(self, session: AsyncSession, show_id: UUID) -> Layout:
        """The layout as the session sees it. Raises `NoSuchShow`."""
        show = await session.get(Show, show_id)
        if show is None:
            raise NoSuchShow(f"There is no show {show_id}.")
        zones = await zones_of(session, show)
        return await self.lay_out(session, show, zones)

    async def lay_out(self, session: AsyncSession, show: Show, zones: Sequence[ZoneSpec]) -> Layout:
        """The layout of a show with these zones. Raises `PriceZonesRefused`."""
        hall_name, seats = await self.hall(session, show.hall_id)
        profile = await profile_of(session, show.organisation)
        for_sale, summary = offers(seats, zones, profile.locale)
        return Layout(
            show_id=show.id,
            organisation=show.organisation,
            version=show.version,
            name=show.name,
            starts_at=show.starts_at,
            hall_id=show.hall_id,
            hall_name=hall_name,
            currency=show.currency,
            invoice_allowed=show.invoice_allowed,
            hold_seconds=show.hold_seconds,
            payment_seconds=show.payment_seconds,
            status=ShowStatus(show.status),
            places=seats,
            offers=for_sale,
            zones=summary,
            specs=tuple(zones),
        )

    async def hall(self, session: AsyncSession, hall_id: UUID) -> tuple[str, dict[str, Place]]:
        """Name and seats of a hall that exists."""
        known = self._halls.get(hall_id)
        if known is None:
            hall = await session.get_one(Hall, hall_id)
            # Reading a stadium's plan takes some 100 ms, and the shows of other halls are being sold.
            known = hall.name, await asyncio.to_thread(_by_seat, hall.plan)
            _keep(self._halls, hall_id, known)
        return known


async def zones_of(session: AsyncSession, show: Show) -> list[ZoneSpec]:
    """The price zones of a show as staff wrote them."""
    rows = await session.scalars(
        select(PriceZoneRow).where(PriceZoneRow.show_id == show.id).order_by(PriceZoneRow.position)
    )
    return [
        ZoneSpec(
            zone_id=row.id,
            name=row.name,
            price=Money(minor=row.price_minor, currency=show.currency),
            categories=tuple(row.categories),
            seats=tuple(row.seats),
            invoice_allowed=row.invoice_allowed,
        )
        for row in rows
    ]


def _by_seat(plan: str) -> dict[str, Place]:
    return {place.seat: place for place in places(plan)}


def _keep(cache: OrderedDict[UUID, T], key: UUID, value: T) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > KEPT:
        cache.popitem(last=False)
