"""Price zones and areas as they are kept: which is which after a change, and what cannot be taken away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ticketing.errors import PriceZonesRefused
from services.ticketing.shows.layout import AreaSpec, ZoneSpec
from services.ticketing.shows.tables import AreaRow, PriceZoneRow, Show


def check(zones: Sequence[ZoneSpec], currency: str) -> None:
    """Raises `PriceZonesRefused` for another currency, and for names and fares that are there twice."""
    for zone in zones:
        for money in (zone.price, *(fare.price for fare in zone.fares)):
            if money.currency != currency:
                raise PriceZonesRefused(f"Zone {zone.name!r} is priced in {money.currency}, the show in {currency}.")
        if repeated := _repeated(fare.fare for fare in zone.fares):
            raise PriceZonesRefused(f"Zone {zone.name!r} has the fare {repeated!r} twice. Give each its own key.")
    if repeated := _repeated(zone.name for zone in zones):
        raise PriceZonesRefused(f"Two price zones have the same name, {repeated!r}. Give each its own.")
    if repeated := _repeated(area.name for zone in zones for area in zone.areas):
        raise PriceZonesRefused(f"Two areas have the same name, {repeated!r}. Give each its own.")


def identified(zones: Sequence[ZoneSpec], known: Sequence[ZoneSpec]) -> list[ZoneSpec]:
    """The zones with the ids that they had: by the id that staff sent, else by the name. So a zone that gets another
    name, and an area that moves to another zone, stays what it is."""
    zone_ids = {zone.zone_id: zone.name for zone in known}
    area_ids = {area.area_id: area.name for zone in known for area in zone.areas}
    named = {zone.zone_id for zone in zones if zone.zone_id in zone_ids}
    named |= {area.area_id for zone in zones for area in zone.areas if area.area_id in area_ids}
    by_name = {name: key for key, name in zone_ids.items() if key not in named}
    areas_by_name = {name: key for key, name in area_ids.items() if key not in named}

    def area(spec: AreaSpec) -> AreaSpec:
        return spec if spec.area_id in area_ids else replace(spec, area_id=areas_by_name.get(spec.name, spec.area_id))

    kept = [
        replace(
            zone,
            zone_id=zone.zone_id if zone.zone_id in zone_ids else by_name.get(zone.name, zone.zone_id),
            areas=tuple(map(area, zone.areas)),
        )
        for zone in zones
    ]
    if _repeated(zone.zone_id for zone in kept) or _repeated(area.area_id for zone in kept for area in zone.areas):
        raise PriceZonesRefused("Two zones, or two areas, have the same id. Send each id once.")
    return kept


def must_exist(wanted: Iterable[UUID], known: Sequence[ZoneSpec]) -> None:
    """Raises `PriceZonesRefused` for ids of zones or areas that the show does not have."""
    ids = {zone.zone_id for zone in known} | {area.area_id for zone in known for area in zone.areas}
    if unknown := [str(key) for key in wanted if key not in ids]:
        raise PriceZonesRefused(f"The show has no zone or area {', '.join(unknown[:10])}. A new one gets its id here.")


async def write(session: AsyncSession, show: Show, zones: Sequence[ZoneSpec]) -> None:
    """Writes zones and areas of a locked show. Raises `PriceZonesRefused` for an area that would have fewer places than
    are held or sold."""
    await session.execute(delete(PriceZoneRow).where(PriceZoneRow.show_id == show.id))
    session.add_all(
        PriceZoneRow(
            id=zone.zone_id,
            organisation=show.organisation,
            show_id=show.id,
            position=position,
            name=zone.name,
            price_minor=zone.price.minor,
            categories=list(zone.categories),
            seats=list(zone.seats),
            invoice_allowed=zone.invoice_allowed,
            fares=[{"fare": fare.fare, "name": fare.name, "minor": fare.price.minor} for fare in zone.fares],
            accessible=zone.accessible,
        )
        for position, zone in enumerate(zones)
    )
    await _write_areas(session, show, zones)
    await session.flush()


async def _write_areas(session: AsyncSession, show: Show, zones: Sequence[ZoneSpec]) -> None:
    """Rows that stay are changed, since they count."""
    locked = select(AreaRow).where(AreaRow.show_id == show.id).order_by(AreaRow.id).with_for_update()
    rows = {row.id: row for row in await session.scalars(locked.execution_options(populate_existing=True))}
    wanted = [(zone, area) for zone in zones for area in zone.areas]
    for position, (zone, area) in enumerate(wanted):
        row = rows.pop(area.area_id, None)
        if row is None:
            row = AreaRow(id=area.area_id, organisation=show.organisation, show_id=show.id, taken=0)
            session.add(row)
        _must_hold(row, area.capacity)
        row.zone_id, row.position, row.name, row.capacity = zone.zone_id, position, area.name, area.capacity
    for row in rows.values():
        _must_hold(row, 0)
        await session.delete(row)


def _must_hold(row: AreaRow, capacity: int) -> None:
    if row.taken > capacity:
        raise PriceZonesRefused(
            f"{row.taken} places of {row.name!r} are held or sold; it cannot have {capacity}. Release or refund first.",
            taken=row.taken,
        )


def _repeated(things: Iterable[object]) -> object:
    return next((thing for thing, times in Counter(things).items() if times > 1), None)
