"""The layouts of shows, in memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from contracts.money import Money
from contracts.ticketing import Fare, ShowStatus
from services.ticketing.errors import NoSuchShow
from services.ticketing.halls.places import Seats
from services.ticketing.halls.reading import read_seats
from services.ticketing.halls.tables import Hall
from services.ticketing.halls.workshop import Workshop
from services.ticketing.kept import Kept
from services.ticketing.people import profile_of
from services.ticketing.shows.layout import AreaSpec, Layout, ZoneSpec, offers
from services.ticketing.shows.tables import AreaRow, PriceZoneRow, Show

MOST_SEATS = 1_000_000
LAYOUT = 100
"""What a layout weighs beside its seats."""

NamedHall = tuple[str, Seats]


class Board:
    """Layouts by show, read from the database when they are missing or too old. Plans of halls never change.

    Kept are so many layouts as have `most_seats` together, and so many halls.
    """

    def __init__(self, workshop: Workshop | None = None, most_seats: int = MOST_SEATS) -> None:
        self._db: Database | None = None
        self._workshop = workshop or Workshop()
        self._layouts: Kept[Layout] = Kept(most_seats)
        self._halls: Kept[NamedHall] = Kept(most_seats)
        self._loading: dict[UUID, asyncio.Task[Layout]] = {}
        self._reading: dict[UUID, asyncio.Task[NamedHall]] = {}

    def attach(self, db: Database) -> None:
        """The database to read from; the board is made before it."""
        self._db = db

    def peek(self, show_id: UUID) -> Layout | None:
        """The layout that is in memory."""
        return self._layouts.get(show_id)

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
        self._layouts.forget(show_id)

    def remember(self, layout: Layout) -> None:
        """Keeps a layout as it was committed, unless a newer one is known."""
        known = self._layouts.get(layout.show_id)
        if known is None or known.version <= layout.version:
            self._layouts.keep(layout.show_id, layout, LAYOUT + len(layout.places))

    async def _read(self, show_id: UUID) -> Layout:
        if self._db is None:
            raise RuntimeError("the board has no database yet")
        async with self._db.as_worker() as session:
            layout = await self.read(session, show_id)
        self.remember(layout)
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

    async def hall(self, session: AsyncSession, hall_id: UUID) -> NamedHall:
        """Name and seats of a hall that exists; those who ask at the same time share one reading."""
        known = self._halls.get(hall_id)
        if known is not None:
            return known
        if hall_id not in self._reading:
            name, plan = (await session.execute(select(Hall.name, Hall.plan).where(Hall.id == hall_id))).one()
            if hall_id not in self._reading:
                task = self._reading[hall_id] = asyncio.create_task(self._read_hall(hall_id, name, plan))
                task.add_done_callback(lambda _: self._reading.pop(hall_id, None))
        return await asyncio.shield(self._reading[hall_id])

    async def _read_hall(self, hall_id: UUID, name: str, plan: str) -> NamedHall:
        found = name, await read_seats(self._workshop, plan)
        self._halls.keep(hall_id, found, len(found[1]))
        return found


async def zones_of(session: AsyncSession, show: Show) -> list[ZoneSpec]:
    """The price zones of a show as staff wrote them."""
    rows = await session.scalars(
        select(PriceZoneRow).where(PriceZoneRow.show_id == show.id).order_by(PriceZoneRow.position)
    )
    areas: dict[UUID, list[AreaSpec]] = defaultdict(list)
    for area in await session.scalars(select(AreaRow).where(AreaRow.show_id == show.id).order_by(AreaRow.position)):
        areas[area.zone_id].append(AreaSpec(area.id, area.name, area.capacity))
    return [
        ZoneSpec(
            zone_id=row.id,
            name=row.name,
            price=Money(minor=row.price_minor, currency=show.currency),
            categories=tuple(row.categories),
            seats=tuple(row.seats),
            invoice_allowed=row.invoice_allowed,
            fares=tuple(
                Fare(fare=fare["fare"], name=fare["name"], price=Money(minor=fare["minor"], currency=show.currency))
                for fare in row.fares
            ),
            accessible=row.accessible,
            areas=tuple(areas[row.id]),
        )
        for row in rows
    ]
