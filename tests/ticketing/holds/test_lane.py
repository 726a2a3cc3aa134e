"""The lane and the statement behind it: no seat is ever had by two."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from chassis.db import Database
from contracts.envelope import decode
from contracts.ticketing import HoldLapsed, HoldPlaced, HoldReleased
from services.ticketing.errors import SaleBusy
from services.ticketing.holds import statement
from services.ticketing.holds.parameters import parameters
from services.ticketing.holds.requests import Granted, Refused
from tests.harness import eventually
from tests.ticketing.conftest import settings_for
from tests.ticketing.holds.crowd import answers, ask, holders, lapse_all, let_run_out, make_show, open_lane
from tests.ticketing.tickets.box import Box


async def test_64_requests_for_one_seat_have_one_winner_in_order_of_arrival(db):
    layout = await make_show(db)
    async with open_lane(db) as lane:
        requests = [ask(layout, "1-1") for _ in range(64)]
        got = await answers([lane], requests)
    assert isinstance(got[0], Granted)
    assert got[1:] == [Refused("taken", ("1-1",))] * 63
    assert await holders(db, layout) == {"1-1": requests[0].hold_id}


@pytest.mark.parametrize("lanes", [1, 4])
async def test_200_requests_on_40_seats_sell_40(db, lanes):
    layout = await make_show(db, 1, 40)
    async with open_lanes(db, lanes) as opened:
        seats = [f"1-{n % 40 + 1}" for n in range(200)]
        random.Random(lanes).shuffle(seats)
        requests = [ask(layout, seat) for seat in seats]
        got = await answers(opened, requests)
    winners = {r.hold_id for r, answer in zip(requests, got, strict=True) if isinstance(answer, Granted)}
    assert len(winners) == 40
    assert set((await holders(db, layout)).values()) == winners
    assert all(isinstance(answer, Granted | Refused) for answer in got)


@contextlib.asynccontextmanager
async def open_lanes(db, count: int):
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_lane(db)) for _ in range(count)]


async def at_the_same_moment(db, sql: str) -> list[str]:
    """Two processes ask for one seat; the second statement begins before the first commits. What each is told."""
    layout = await make_show(db)
    connections = [await db.pin(), await db.pin()]
    transactions = [connection.transaction() for connection in connections]
    asked = [parameters([ask(layout, "1-1")], datetime.now(UTC)) for _ in connections]
    try:
        for transaction in transactions:
            await transaction.start()
        told = [(await connections[0].fetch(sql, *asked[0]))[0]["verdict"]]
        second = asyncio.create_task(connections[1].fetch(sql, *asked[1]))
        # With the index it waits here for the first; without, it does not see it.
        await eventually(lambda: _done_or_waiting(db, second, connections[1].get_server_pid()))
        await transactions[0].commit()
        try:
            told.append((await second)[0]["verdict"])
            await transactions[1].commit()
        except asyncpg.DivisionByZeroError:
            told.append("lost race")
        return told
    finally:
        for connection in connections:
            await connection.close()


async def _done_or_waiting(db, work: asyncio.Task[Any], pid: int) -> bool:
    async with db.as_worker() as session:
        waits = text("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = :pid")
        return work.done() or bool(await session.scalar(waits, {"pid": pid}))


async def test_two_processes_at_the_same_moment(db):
    assert await at_the_same_moment(db, statement.TAKE_SEATS) == ["granted", "lost race"]


async def test_control_without_the_unique_index_the_seat_is_sold_twice(postgres, tokens):
    """The same statement with its check, but without the index behind it: the check alone keeps nobody apart."""
    urls = await postgres.create_database("ticketing")
    owner = await asyncpg.connect(urls.owner)
    await owner.execute("ALTER TABLE held_seat DROP CONSTRAINT pk_held_seat")
    await owner.close()
    unguarded = statement.TAKE_SEATS.replace("ON CONFLICT (show_id, seat) DO NOTHING\n", "")
    assert unguarded != statement.TAKE_SEATS
    database = Database(settings_for(urls, tokens))
    try:
        assert await at_the_same_moment(database, unguarded) == ["granted", "granted"]
        async with database.as_worker() as session:
            assert await session.scalar(text("SELECT count(*) FROM held_seat")) == 2
    finally:
        await database.close()


async def test_a_hold_is_all_of_its_seats_or_none(db):
    layout = await make_show(db)
    async with open_lane(db) as lane:
        first, second, third = await answers(
            [lane], [ask(layout, "1-2"), ask(layout, "1-1", "1-2"), ask(layout, "1-1")]
        )
    assert isinstance(first, Granted)
    assert second == Refused("taken", ("1-2",))
    assert isinstance(third, Granted)
    assert set(await holders(db, layout)) == {"1-1", "1-2"}


async def test_many_seats_in_any_order_never_lock_each_other_out(db):
    """Eight lanes ask for overlapping groups of seats, listed in opposite orders; nobody waits for a deadlock."""
    layout = await make_show(db, 1, 30)
    pick = random.Random(7)
    keys = list(layout.offers)
    async with open_lanes(db, 8) as lanes:
        for _ in range(5):
            requests = [ask(layout, *pick.sample(keys, 6), lifetime=0.05) for _ in range(60)]
            got = await answers(lanes, requests)
            assert all(isinstance(answer, Granted | Refused) for answer in got)
            await asyncio.sleep(0.06)
    async with db.as_worker() as session:
        deadlocks = await session.scalar(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    assert deadlocks == 0


async def test_a_hold_whose_time_is_over_has_its_seats_until_its_order_is_known(db):
    """However long that takes: its buyer may have ordered and paid, and we have not heard of it."""
    layout = await make_show(db)
    async with open_lanes(db, 4) as lanes:
        box = Box(db, layout, lanes[0])
        first = await box.hold("1-1", "1-2")
        await let_run_out(db, layout.show_id)
        assert await answers(lanes, [ask(layout, "1-1")]) == [Refused("taken", ("1-1",))]
        await lapse_all(db)
        assert await answers(lanes, [ask(layout, "1-2")]) == [Refused("taken", ("1-2",))]
        (asked,) = await box.said(first, HoldLapsed)
        assert (asked.hold_id, asked.currency) == (UUID(first.hold["hold_id"]), "UAH")
        assert not await box.said(first, HoldReleased)
        await box.hear(first.unclaimed())
        assert (await box.said(first, HoldReleased))[0].seats == ("1-1", "1-2")
        got = await answers(lanes, [ask(layout, "1-1") for _ in range(64)])
    assert sum(isinstance(answer, Granted) for answer in got) == 1


async def test_the_same_hold_again_is_the_same_and_another_is_refused(db):
    layout = await make_show(db)
    hold_id = uuid7()
    async with open_lane(db) as lane:
        first, again = await answers([lane], [ask(layout, "1-1", hold_id=hold_id) for _ in range(2)])
        (later,) = await answers([lane], [ask(layout, "1-1", hold_id=hold_id)])
        (other,) = await answers([lane], [ask(layout, "1-3", hold_id=hold_id)])
    assert isinstance(first, Granted)
    assert not first.repeated
    for answer in (again, later):
        assert isinstance(answer, Granted)
        assert answer.repeated
        assert (answer.expires_at, answer.seats) == (first.expires_at, first.seats)
    assert other == Refused("other")


async def test_a_show_that_is_not_on_sale_or_was_changed_gives_no_seats(db):
    draft = await make_show(db, status="draft")
    changed, begun = await make_show(db), await make_show(db, days=-0.001)
    async with db.as_worker() as session:
        await session.execute(text("UPDATE show SET version = 2 WHERE id = :id"), {"id": changed.show_id})
    async with open_lane(db) as lane:
        got = await answers([lane], [ask(draft, "1-1"), ask(changed, "1-1"), ask(begun, "1-1")])
    assert got == [Refused("closed"), Refused("stale"), Refused("closed")]


async def test_stopping_a_sale_waits_for_holds_and_those_after_it_see_it(db):
    layout = await make_show(db, 10, 50)
    async with open_lane(db, batch=8) as lane:
        requests = [ask(layout, seat) for seat in layout.offers]
        for request in requests:
            lane.join(request)
        # The sale is under way; stopping it comes in the middle.
        assert isinstance(await requests[0].future, Granted)
        async with db.as_worker() as session:
            await session.execute(
                text("UPDATE show SET status = 'sales_stopped' WHERE id = :id"), {"id": layout.show_id}
            )
            # The row is locked by us now: nothing is granted until we commit, and nothing after.
            before = await session.scalar(
                text("SELECT count(*) FROM held_seat WHERE show_id = :id"), {"id": layout.show_id}
            )
        await asyncio.gather(*(request.future for request in requests))
    assert 0 < before < len(requests)
    assert len(await holders(db, layout)) == before
    got = [request.future.result() for request in requests]
    assert {answer.why for answer in got if isinstance(answer, Refused)} == {"closed"}


async def test_no_show_waits_for_another_that_is_being_changed(db):
    busy, calm = await make_show(db), await make_show(db)
    change = text("SELECT FROM show WHERE id = :id FOR UPDATE")
    async with open_lane(db) as lane:
        async with db.as_worker() as session:
            await session.execute(change, {"id": busy.show_id})
            waits = ask(busy, "1-1")
            lane.join(waits)
            gave_up, granted = await answers([lane], [ask(busy, "1-2", wait=0.1), ask(calm, "1-1")])
            assert isinstance(gave_up, SaleBusy)
            assert isinstance(granted, Granted)
            assert not waits.future.done()
        assert isinstance(await waits.future, Granted)
    assert set(await holders(db, busy)) == {"1-1"}


async def test_a_hold_and_its_event_are_written_together(db):
    layout = await make_show(db)
    request = ask(layout, "1-1", "1-2")
    async with open_lane(db) as lane:
        (got,) = await answers([lane], [request])
    async with db.as_worker() as session:
        row = (
            await session.execute(
                text("SELECT topic, key, value, headers FROM outbox WHERE key = :key"),
                {"key": str(request.hold_id).encode()},
            )
        ).one()
    event = decode([(name, value.encode()) for name, value in row.headers], bytes(row.value))
    assert row.topic == event.topic
    assert isinstance(event.data, HoldPlaced)
    assert event.organisation == layout.organisation
    assert isinstance(got, Granted)
    assert event.data.expires_at == got.expires_at
    assert event.data.total.minor == 20_000
    assert event.data == HoldPlaced.model_validate(event.data.model_dump())
