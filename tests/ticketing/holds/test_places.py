"""Places of areas: never more than there are, and none that is lost (TKT-15)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from chassis.db import Database
from contracts.ticketing import HoldConversionRefused, HoldReleased, PlacesOf, TicketsIssued, TicketsVoided
from services.ticketing.holds import statement
from services.ticketing.holds.expiry import Expiry
from services.ticketing.holds.lane import Lane
from services.ticketing.holds.parameters import parameters
from services.ticketing.holds.requests import Granted, Refused
from services.ticketing.holds.tables import Hold
from tests.harness import eventually
from tests.ticketing.conftest import settings_for
from tests.ticketing.holds.crowd import answers, ask, lapse_all, let_run_out, make_show, open_lane
from tests.ticketing.tickets.box import Box


@contextlib.asynccontextmanager
async def lanes_of(db: Database, count: int) -> AsyncIterator[list[Lane]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_lane(db)) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 4])
async def test_200_requests_for_50_places_sell_50(db, count):
    layout = await make_show(db, areas=[50])
    async with lanes_of(db, count) as lanes:
        got = await answers(lanes, [ask(layout, (0, 1)) for _ in range(200)])
        (area,) = layout.areas
        assert sum(isinstance(answer, Granted) for answer in got) == 50
        assert [answer for answer in got if not isinstance(answer, Granted)] == [Refused("short", left={area: 0})] * 150
        assert await Box(db, layout, lanes[0]).counted() == [{"taken": 50, "has": 50, "sold": 0, "tickets": 0}]


async def at_the_same_moment(db: Database, sql: str) -> tuple[int, int]:
    """Two processes ask for the last place; the second statement begins before the first commits. How many are told
    that they have it, and what the counter says then."""
    layout = await make_show(db, areas=[1])
    connections = [await db.pin(), await db.pin()]
    transactions = [connection.transaction() for connection in connections]
    asked = [parameters([ask(layout, (0, 1))], datetime.now(UTC)) for _ in connections]
    try:
        for transaction in transactions:
            await transaction.start()
        told = [(await connections[0].fetch(sql, *asked[0]))[0]["verdict"]]
        second = asyncio.create_task(connections[1].fetch(sql, *asked[1]))
        pid = connections[1].get_server_pid()

        async def done_or_waiting() -> bool:
            waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"
            watcher = await db.pin()
            try:
                return second.done() or bool(await watcher.fetchval(waits, pid))
            finally:
                await watcher.close()

        await eventually(done_or_waiting)
        await transactions[0].commit()
        told.append((await second)[0]["verdict"])
        await transactions[1].commit()
        taken = await connections[0].fetchval("SELECT taken FROM area WHERE show_id = $1", layout.show_id)
        return told.count("granted"), taken
    finally:
        for connection in connections:
            await connection.close()


async def test_two_processes_at_the_same_moment_and_one_of_them_comes_back(db):
    assert await at_the_same_moment(db, statement.TAKE_SEATS) == (1, 1)


async def test_control_without_lock_and_check_the_last_place_is_sold_twice(postgres, tokens):
    urls = await postgres.create_database("ticketing")
    owner = await asyncpg.connect(urls.owner)
    await owner.execute("ALTER TABLE area DROP CONSTRAINT ck_area_taken")
    await owner.close()
    unguarded = statement.TAKE_SEATS.replace("FOR NO KEY UPDATE SKIP LOCKED\n", "")
    assert unguarded != statement.TAKE_SEATS
    database = Database(settings_for(urls, tokens))
    try:
        assert await at_the_same_moment(database, unguarded) == (2, 2)
    finally:
        await database.close()


async def test_who_fits_behind_somebody_who_is_refused_has_the_places(db):
    """In one batch: 60 do not fit into 50, those behind do; and seats and places come together or not at all."""
    layout = await make_show(db, areas=[50, 5], fares=[("adult", 10_000), ("child", 5_000)])
    async with open_lane(db) as lane:
        got = await answers(
            [lane],
            [
                ask(layout, (0, 60)),
                ask(layout, (0, 20, "adult"), (0, 20, "child"), "1-1"),
                ask(layout, (0, 2), "1-1"),
                ask(layout, (0, 4), (1, 6)),
                ask(layout, (0, 11)),
                ask(layout, (0, 10), (1, 5)),
                ask(layout, (1, 1)),
            ],
        )
    first, second = layout.areas
    assert got[0] == Refused("short", left={first: 50})
    assert isinstance(got[1], Granted)
    assert got[1].total == 20 * 15_000 + 10_000
    assert got[2] == Refused("taken", ("1-1",))
    assert got[3] == Refused("short", left={second: 5})
    assert got[4] == Refused("short", left={first: 10})
    assert isinstance(got[5], Granted)
    assert got[6] == Refused("short", left={second: 0})


async def test_an_area_that_somebody_counts_does_not_delay_the_others(db):
    layout, other = await make_show(db, areas=[5, 5]), await make_show(db)
    first = next(iter(layout.areas))
    async with open_lane(db) as lane:
        connection = await db.pin()
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE area SET taken = taken + 1 WHERE id = $1", first)
        waiting = ask(layout, (0, 1))
        lane.join(waiting)
        got = await answers([lane], [ask(other, "1-1"), ask(layout, "1-1"), ask(layout, (1, 1))])
        assert all(isinstance(answer, Granted) for answer in got)
        assert not waiting.future.done()
        await transaction.commit()
        await connection.close()
        assert isinstance(await waiting.future, Granted)


async def test_places_of_holds_that_ran_out_return_without_the_job(db):
    """Whoever is refused for want of places has ticketing ask orders about those whose time is over: so the answer, and
    nothing else, gives them back, and no paid order loses its places."""
    layout = await make_show(db, areas=[3])
    expiry = Expiry(db)
    async with open_lane(db, on_short=expiry.soon) as lane:
        box = Box(db, layout, lane)
        order = await box.hold((0, 3))
        await let_run_out(db, layout.show_id)
        assert isinstance((await answers([lane], [ask(layout, (0, 1))]))[0], Refused)

        async def asked() -> bool:
            async with db.as_worker() as session:
                hold = await session.get(Hold, UUID(order.hold["hold_id"]))
                return hold is not None and hold.status == "lapsed"

        await eventually(asked)
        await box.hear(order.unclaimed())
        (released,) = await box.said(order, HoldReleased)
        assert released.places == (PlacesOf(area=next(iter(layout.areas)), fare="full", quantity=3),)
        assert isinstance((await answers([lane], [ask(layout, (0, 3))]))[0], Granted)


async def test_places_become_tickets_and_return_one_by_one(db):
    layout = await make_show(db, areas=[10], fares=[("adult", 10_000), ("child", 5_000)])
    async with open_lane(db) as lane:
        box = Box(db, layout, lane)
        order = await box.hold("1-1", (0, 3, "adult"), (0, 2, "child"))
        await box.hear(order.placed())
        await box.hear(order.paid())
        (issued,) = await box.said(order, TicketsIssued)
        assert [(t.seat, t.fare, t.price.minor) for t in issued.tickets] == [
            ("1-1", "adult", 10_000),
            *[("", "adult", 10_000)] * 3,
            *[("", "child", 5_000)] * 2,
        ]
        assert len({t.number for t in issued.tickets}) == 6
        assert {t.line_id for t in issued.tickets} == {line.line_id for line in order.lines()}
        assert {t.label for t in issued.tickets if t.area} == {"Area 0"}
        assert await box.counted() == [{"taken": 5, "has": 5, "sold": 5, "tickets": 5}]

        request = uuid4()
        for _ in range(2):
            await box.hear(order.revoked_places(2, request=request))
        first, again = await box.said(order, TicketsVoided)
        assert first.tickets == again.tickets
        assert len(first.tickets) == 2
        assert await box.counted() == [{"taken": 3, "has": 3, "sold": 3, "tickets": 3}]
        await box.hear(order.revoked_places(5))
        await box.hear(order.revoked("1-1"))
        await box.hear(order.revoked_places(2, line=1))
        assert await box.counted() == [{"taken": 0, "has": 0, "sold": 0, "tickets": 0}]


async def test_places_revoked_before_they_are_paid_become_no_tickets(db):
    layout = await make_show(db, areas=[10])
    async with open_lane(db) as lane:
        box = Box(db, layout, lane)
        order = await box.hold((0, 3))
        request = uuid4()
        for _ in range(2):
            await box.hear(order.revoked_places(1, request=request))
        await box.hear(order.paid())
        assert await box.counted() == [{"taken": 2, "has": 2, "sold": 2, "tickets": 2}]


async def test_a_paid_order_whose_places_are_gone_is_refused_and_has_none(db):
    layout = await make_show(db, areas=[5, 5])
    async with open_lane(db) as lane:
        box = Box(db, layout, lane)
        order = await box.hold("1-1", (0, 3), (1, 1))
        await let_run_out(db, layout.show_id)
        await lapse_all(db)
        await box.hear(order.unclaimed())
        assert await box.counted() == [{"taken": 0, "has": 0, "sold": 0, "tickets": 0}] * 2
        await box.hold((0, 3))
        await box.hear(order.paid())
        (refused,) = await box.said(order, HoldConversionRefused)
        assert refused.places == (PlacesOf(area=next(iter(layout.areas)), fare="full", quantity=3),)
        assert not await box.sold()
        assert [area["taken"] for area in await box.counted()] == [3, 0]


async def test_a_hold_that_ran_out_has_its_places_again_when_its_order_comes(db):
    layout = await make_show(db, areas=[5])
    async with open_lane(db) as lane:
        box = Box(db, layout, lane)
        order = await box.hold((0, 3))
        await let_run_out(db, layout.show_id)
        await lapse_all(db)
        await box.hear(order.unclaimed())
        await box.hear(order.placed(datetime.now(UTC) + timedelta(hours=1)))
        assert await box.counted() == [{"taken": 3, "has": 3, "sold": 0, "tickets": 0}]
        await box.hear(order.cancelled())
        assert await box.counted() == [{"taken": 0, "has": 0, "sold": 0, "tickets": 0}]
