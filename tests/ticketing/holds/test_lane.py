"""The lane and the statement behind it: no seat is ever had by two."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections import Counter
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from chassis.db import Database
from contracts.envelope import decode
from contracts.ticketing import HoldPlaced
from services.ticketing.errors import OutcomeUnknown, SaleBusy
from services.ticketing.holds import statement
from services.ticketing.holds.lane import Lane
from services.ticketing.holds.requests import Granted, Refused
from services.ticketing.models import Base
from tests.ticketing.conftest import settings_for
from tests.ticketing.holds.crowd import answers, ask, let_run_out, make_show, open_lane


async def holders(db, layout) -> dict[str, Any]:
    async with db.as_worker() as session:
        rows = await session.execute(
            text("SELECT seat, hold_id FROM held_seat WHERE show_id = :show"), {"show": layout.show_id}
        )
        return {row.seat: row.hold_id for row in rows}


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
    lane = Lane(db.pin)
    connections = [await db.pin(), await db.pin()]
    transactions = [connection.transaction() for connection in connections]
    rows = [lane.row(ask(layout, "1-1")) for _ in connections]
    try:
        for transaction in transactions:
            await transaction.start()
        asked = [(*([value] for value in row), [layout.show_id]) for row in rows]
        told = [(await connections[0].fetch(sql, *asked[0]))[0]["verdict"]]
        second = asyncio.create_task(connections[1].fetch(sql, *asked[1]))
        # With the index it waits here for the first; without, it does not see it.
        await asyncio.wait([second], timeout=0.3)
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


async def test_two_processes_at_the_same_moment(db):
    assert await at_the_same_moment(db, statement.TAKE_SEATS) == ["granted", "lost race"]


async def test_control_without_the_unique_index_the_seat_is_sold_twice(postgres, tokens):
    """The same statement with its check, but without the index behind it: the check alone keeps nobody apart."""
    urls = await postgres.create_database("ticketing")
    owner = await asyncpg.connect(urls.owner)
    await owner.execute("ALTER TABLE held_seat DROP CONSTRAINT pk_held_seat")
    await owner.close()
    conflict = r"ON CONFLICT \(show_id, seat\) DO UPDATE.*?WHERE held_seat.until <= clock_timestamp\(\)\n"
    unguarded, removed = re.subn(conflict, "", statement.TAKE_SEATS, flags=re.DOTALL)
    assert removed == 1
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
    started = time.perf_counter()
    async with open_lanes(db, 8) as lanes:
        for _ in range(5):
            requests = [ask(layout, *pick.sample(keys, 6), lifetime=0.05) for _ in range(60)]
            got = await answers(lanes, requests)
            assert all(isinstance(answer, Granted | Refused) for answer in got)
            await asyncio.sleep(0.06)
    assert time.perf_counter() - started < 15
    async with db.as_worker() as session:
        deadlocks = await session.scalar(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    assert deadlocks == 0


async def test_an_expired_hold_is_taken_over_in_place(db):
    layout = await make_show(db)
    async with open_lane(db) as lane:
        await answers([lane], [ask(layout, "1-1", "1-2")])
        (early,) = await answers([lane], [ask(layout, "1-1")])
        assert early == Refused("taken", ("1-1",))
        await let_run_out(db, layout.show_id)
        late = ask(layout, "1-1")
        (got,) = await answers([lane], [late])
    assert isinstance(got, Granted)
    assert (await holders(db, layout))["1-1"] == late.hold_id


async def test_takeover_of_an_expired_hold_by_a_crowd(db):
    layout = await make_show(db)
    async with open_lanes(db, 4) as lanes:
        await answers(lanes, [ask(layout, "1-1")])
        await let_run_out(db, layout.show_id)
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


async def test_a_queue_that_is_full_or_too_slow_says_try_later(db):
    layout = await make_show(db, 1, 20)
    async with open_lane(db, queue=5) as lane:
        requests = [ask(layout, f"1-{n}", wait=0) for n in range(1, 7)]
        for request in requests[:5]:
            lane.join(request)
        with pytest.raises(SaleBusy) as busy:
            lane.join(requests[5])
        assert busy.value.headers["Retry-After"]
        got = await asyncio.gather(*(request.future for request in requests[:5]), return_exceptions=True)
        assert all(isinstance(answer, SaleBusy) for answer in got)
        assert await holders(db, layout) == {}


async def test_the_lane_survives_the_loss_of_its_connection(db, urls, postgres):
    layout = await make_show(db, 20, 50)
    keys = list(layout.offers)
    database = urls.owner.rpartition("/")[2]
    connections: list[asyncpg.Connection] = []

    async def connect():
        connections.append(await db.pin())
        return connections[-1]

    executioner = await asyncpg.connect(postgres.url(database))

    async def kill() -> None:
        for _ in range(15):
            await asyncio.sleep(0.02)
            if connections:
                await executioner.execute("SELECT pg_terminate_backend($1)", connections[-1].get_server_pid())

    async with open_lane(db, connect, batch=16) as lane:
        requests = [ask(layout, keys[n % len(keys)]) for n in range(1500)]
        _, got = await asyncio.gather(kill(), answers([lane], requests))
    await executioner.close()
    assert len(connections) > 1
    assert all(isinstance(answer, Granted | Refused) for answer in got), Counter(type(a) for a in got)
    won = {r.hold_id: r.keys[0] for r, answer in zip(requests, got, strict=True) if isinstance(answer, Granted)}
    # Whoever was told so has the seat, and nobody has one without having been told.
    assert {seat: hold for hold, seat in won.items()} == await holders(db, layout)
    assert len(won) == len(keys)


async def test_a_commit_whose_answer_was_lost_is_found_again(db):
    """The connection breaks after the commit: the buyer is told of the hold that was placed, once."""
    layout = await make_show(db)

    class Deaf:
        """Carries the statement out and loses the answer."""

        def __init__(self, connection: asyncpg.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        async def fetch(self, *args: Any) -> Any:
            await self._connection.fetch(*args)
            raise ConnectionResetError("cable cut")

    calls = 0

    async def connect() -> Any:
        nonlocal calls
        calls += 1
        connection = await db.pin()
        return Deaf(connection) if calls == 1 else connection

    request = ask(layout, "1-1")
    async with open_lane(db, connect) as lane:
        (got,) = await answers([lane], [request])
    assert calls == 2
    assert isinstance(got, Granted)
    assert await holders(db, layout) == {"1-1": request.hold_id}


async def test_nobody_waits_for_ever_while_the_database_is_away(db):
    async def connect() -> Any:
        raise ConnectionRefusedError("no database")

    layout = await make_show(db)
    async with open_lane(db, connect) as lane:
        (got,) = await asyncio.wait_for(answers([lane], [ask(layout, "1-1", wait=0.3)]), 5)
    assert isinstance(got, OutcomeUnknown)


async def test_nobody_waits_for_a_flusher_that_hangs(db, monkeypatch):
    """A request in the batch, one behind it and one in the queue: all are told after `ANSWER_SECONDS`."""
    hanging = asyncio.Event()

    async def connect() -> Any:
        hanging.set()
        await asyncio.get_running_loop().create_future()

    layout = await make_show(db)
    taken, behind, queued = ask(layout, "1-1"), ask(layout, "1-1"), ask(layout, "1-2")
    async with open_lane(db, connect) as lane:
        lane.join(taken)
        lane.join(behind)
        await hanging.wait()
        lane.join(queued)
        lane.fail_overdue()
        assert not any(request.future.done() for request in (taken, behind, queued))
        monkeypatch.setattr("services.ticketing.holds.lane.ANSWER_SECONDS", 0)
        lane.fail_overdue()
        got = await asyncio.gather(taken.future, behind.future, queued.future, return_exceptions=True)
    assert all(isinstance(answer, OutcomeUnknown) for answer in got)


async def test_one_bad_hold_does_not_harm_its_batch(db):
    """A request that the database refuses (here: a NUL byte) fails alone."""
    layout = await make_show(db)
    good = [ask(layout, f"1-{n}") for n in range(1, 6)]
    bad = ask(layout, "1-9")
    bad.keys = ("1-9\x00",)
    async with open_lane(db) as lane:
        got = await answers([lane], [*good[:3], bad, *good[3:]])
    assert isinstance(got[3], asyncpg.PostgresError)
    assert sum(isinstance(answer, Granted) for answer in got) == 5


@pytest.mark.parametrize("sql", [statement.TAKE_SEATS, statement.FIND_HOLDS, statement.SESSION])
async def test_the_hot_statements_fit_the_tables(db, sql):
    """PostgreSQL prepares them against the migrated tables, and every table and column they write is mapped."""
    connection = await db.pin()
    try:
        await connection.prepare(sql)
    finally:
        await connection.close()
    for name, columns in re.findall(r"INSERT INTO (\w+) \(([^)]*)\)", sql):
        mapped = Base.metadata.tables[name]
        written = {column.strip() for column in columns.split(",")}
        assert written <= set(mapped.columns.keys())
        needed = {c.name for c in mapped.columns if not c.nullable and c.server_default is None and c.identity is None}
        assert needed <= written
    for name in re.findall(r"(?:FROM|JOIN|UPDATE) (held_seat|hold|show|outbox)\b", sql):
        assert name in Base.metadata.tables


async def test_the_statement_uses_indexes_however_small_the_tables_were(db):
    connection = await db.pin()
    try:
        await connection.fetchrow(statement.SESSION)
        prepared = await connection.prepare("EXPLAIN (FORMAT JSON) " + statement.TAKE_SEATS)
        empty: list[Any] = [[] for _ in prepared.get_parameters()]
        explained = str(await prepared.fetchval(*empty))
    finally:
        await connection.close()
    assert "Seq Scan" not in explained
    assert '"pk_held_seat"' in explained
