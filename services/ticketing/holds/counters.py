"""The places of one hold, in the database: given up, kept longer, or sold. The counter of each area goes with them.

Rows of `held_place` belong to the hold, whose row the caller has locked. Counters are written in the order of their
areas. Keeping and selling what a hold has already writes no counter, so paid orders do not wait for one another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ticketing import PlacesOf

Quantities = Mapping[tuple[UUID, str], int]
"""How many places, by area and fare."""

HAS = text("SELECT area_id, fare, quantity FROM held_place WHERE hold_id = :hold_id ORDER BY area_id, fare FOR UPDATE")
SET = text("""
    INSERT INTO held_place (hold_id, area_id, fare, organisation, show_id, quantity, until)
    VALUES (:hold_id, :area_id, :fare, :organisation, :show_id, :quantity,
            coalesce(CAST(:until AS timestamptz), 'infinity'))
    ON CONFLICT (hold_id, area_id, fare) DO UPDATE SET quantity = excluded.quantity, until = excluded.until
""")
DROP = text("DELETE FROM held_place WHERE hold_id = :hold_id AND area_id = :area_id AND fare = :fare")
LESS = text("""
    UPDATE held_place SET quantity = :quantity WHERE hold_id = :hold_id AND area_id = :area_id AND fare = :fare
""")
COUNT = text("""
    UPDATE area SET taken = taken + :more WHERE id = :area_id AND taken + :more <= capacity RETURNING id
""")


async def has(session: AsyncSession, hold_id: UUID) -> dict[tuple[UUID, str], int]:
    """The places that a hold has now."""
    return {(row.area_id, row.fare): row.quantity for row in await session.execute(HAS, {"hold_id": hold_id})}


async def free(session: AsyncSession, hold_id: UUID, given_up: Quantities | None = None) -> tuple[PlacesOf, ...]:
    """Gives up these places, as far as the hold still has them, or all of them. Returns what is free again."""
    own = await has(session, hold_id)
    wanted = own if given_up is None else given_up
    freed = {key: min(quantity, own[key]) for key, quantity in wanted.items() if key in own and quantity > 0}
    for key, quantity in sorted(freed.items()):
        which = {"hold_id": hold_id, "area_id": key[0], "fare": key[1]}
        if quantity == own[key]:
            await session.execute(DROP, which)
        else:
            await session.execute(LESS, {**which, "quantity": own[key] - quantity})
    await _count(session, {key: -quantity for key, quantity in freed.items()})
    return told(freed)


async def keep(
    session: AsyncSession,
    *,
    organisation: UUID,
    show_id: UUID,
    hold_id: UUID,
    wanted: Quantities,
    until: datetime | None,
) -> tuple[PlacesOf, ...]:
    """Keeps the places for this hold until then, or for ever (sold) with None; takes those again that it lost, if there
    are as many. Returns those that it cannot have."""
    if not wanted:
        return ()
    own = await has(session, hold_id)
    lost = await _count(session, {key: max(quantity - own.get(key, 0), 0) for key, quantity in wanted.items()})
    for key, quantity in sorted(wanted.items()):
        if key[0] not in lost:
            row: dict[str, Any] = {"organisation": organisation, "show_id": show_id, "until": until}
            row |= {"hold_id": hold_id, "area_id": key[0], "fare": key[1]}
            await session.execute(SET, {**row, "quantity": max(quantity, own.get(key, 0))})
    return told({key: quantity for key, quantity in wanted.items() if key[0] in lost})


async def _count(session: AsyncSession, changes: Quantities) -> set[UUID]:
    """Adds to the counters, all fares of an area together. Returns the areas that have not so many places."""
    areas = Counter[UUID]()
    for (area, _), more in changes.items():
        areas[area] += more
    lost = set()
    for area, more in sorted(areas.items()):
        if more and await session.scalar(COUNT, {"area_id": area, "more": more}) is None:
            lost.add(area)
    return lost


def told(quantities: Quantities) -> tuple[PlacesOf, ...]:
    """In order of area and fare."""
    return tuple(
        PlacesOf(area=area, fare=fare, quantity=quantity)
        for (area, fare), quantity in sorted(quantities.items())
        if quantity
    )


def promised(places: list[dict[str, Any]]) -> dict[tuple[UUID, str], int]:
    """What the terms of a hold name."""
    return {(UUID(each["area"]), each["fare"]): each["quantity"] for each in places}
