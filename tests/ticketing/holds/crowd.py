"""Shows written straight into a database, and crowds that ask lanes for their seats."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import text
from uuid_utils.compat import uuid7

from chassis.db import Database
from services.ticketing.halls.tables import Hall
from services.ticketing.holds.expiry import lapse_holds
from services.ticketing.holds.lane import Lane
from services.ticketing.holds.requests import Answer, Request
from services.ticketing.holds.wanted import Item, priced
from services.ticketing.shows.best import Best
from services.ticketing.shows.board import Board
from services.ticketing.shows.layout import Layout
from services.ticketing.shows.tables import AreaRow, PriceZoneRow, Show
from tests.ticketing.plans import plan


async def make_show(
    db: Database,
    rows: int = 1,
    seats: int = 10,
    status: str = "on_sale",
    days: float = 9,
    areas: Sequence[int] = (),
    fares: Sequence[tuple[str, int]] = (),
) -> Layout:
    """A show of an organisation of its own; seats `1-1`, `1-2`, ..., and areas of so many places."""
    organisation, hall_id, show_id, zone_id = uuid4(), uuid4(), uuid4(), uuid4()
    async with db.as_worker() as session:
        document = orjson.dumps(plan(rows, seats)).decode()
        session.add(Hall(id=hall_id, organisation=organisation, name="H", plan=document, seats=rows * seats))
        await session.flush()
        session.add(
            Show(
                id=show_id,
                organisation=organisation,
                hall_id=hall_id,
                name="S",
                starts_at=datetime.now(UTC) + timedelta(days=days),
                currency="UAH",
                status=status,
                version=1,
                invoice_allowed=False,
            )
        )
        await session.flush()
        session.add(
            PriceZoneRow(
                id=zone_id,
                organisation=organisation,
                show_id=show_id,
                position=0,
                name="Z",
                price_minor=10_000,
                categories=["Партер"],
                seats=[],
                fares=[{"fare": key, "name": key.title(), "minor": minor} for key, minor in fares],
            )
        )
        session.add_all(
            AreaRow(
                id=uuid4(),
                organisation=organisation,
                show_id=show_id,
                zone_id=zone_id,
                position=position,
                name=f"Area {position}",
                capacity=capacity,
            )
            for position, capacity in enumerate(areas)
        )
    return await board_of(db).get(show_id)


def board_of(db: Database) -> Board:
    board = Board()
    board.attach(db)
    return board


async def let_run_out(db: Database, show_id: UUID, hold_id: UUID | None = None) -> None:
    """The time of the holds of a show, or of one, has passed: the database is told so, nobody waits for it."""
    which = {"show": show_id, "hold": hold_id}
    mine = "show_id = :show AND {id} = coalesce(CAST(:hold AS uuid), {id})"
    past = "clock_timestamp() - interval '1 s'"
    async with db.as_worker() as session:
        await session.execute(
            text(f"UPDATE hold SET expires_at = {past} WHERE {mine.format(id='id')} AND status = 'active'"), which
        )
        await session.execute(
            text(f"UPDATE held_place SET until = {past} WHERE {mine.format(id='hold_id')} AND until < 'infinity'"),
            which,
        )
        await session.execute(
            text(f"UPDATE held_seat SET until = {past} WHERE {mine.format(id='hold_id')} AND until < 'infinity'"), which
        )


async def lapse_all(db: Database) -> None:
    """What the job does about holds whose time has passed."""
    while await lapse_holds(db):
        pass


def ask(
    layout: Layout,
    *wanted: str | tuple[int, int] | tuple[int, int, str],
    hold_id: UUID | None = None,
    lifetime: float = 60,
    wait: float = 10,
    **who: Any,
) -> Request:
    """Seats by name, and places as (number of the area, quantity), at a fare if it is named too."""
    areas = list(layout.areas)
    items = [
        Item(each) if isinstance(each, str) else Item(str(areas[each[0]]), each[2] if len(each) > 2 else None, each[1])
        for each in wanted
    ]
    seats, places = priced(layout, items, 10_000)
    return Request(
        hold_id=hold_id or uuid7(),
        layout=layout,
        seats=seats,
        places=places,
        lifetime=timedelta(seconds=lifetime),
        latest=timedelta(hours=1),
        account_id=who.pop("account_id", None),
        traceparent=None,
        future=asyncio.get_running_loop().create_future(),
        deadline=time.perf_counter() + wait,
        **who,
    )


def ask_best(layout: Layout, quantity: int, hold_id: UUID | None = None, **more: Any) -> Request:
    """So many seats side by side."""
    return ask(layout, hold_id=hold_id, best=Best(quantity, **more))


@contextlib.asynccontextmanager
async def open_lane(db: Database, connect: Callable[[], Any] | None = None, **settings: Any) -> AsyncIterator[Lane]:
    lane = Lane(connect or db.pin, **settings)
    task = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def answers(lanes: Sequence[Lane], requests: Sequence[Request]) -> list[Answer | BaseException]:
    """Joins the requests to the lanes in turn and awaits every answer."""
    for number, request in enumerate(requests):
        lanes[number % len(lanes)].join(request)
    return await asyncio.gather(*(request.future for request in requests), return_exceptions=True)


async def holders(db, layout) -> dict[str, Any]:
    async with db.as_worker() as session:
        rows = await session.execute(
            text("SELECT seat, hold_id FROM held_seat WHERE show_id = :show"), {"show": layout.show_id}
        )
        return {row.seat: row.hold_id for row in rows}
