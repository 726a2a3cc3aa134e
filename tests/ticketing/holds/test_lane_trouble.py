"""A lane whose database, connection or neighbours fail: everybody is answered, and nobody is told what is not so."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from services.ticketing.errors import OutcomeUnknown, SaleBusy
from services.ticketing.holds.requests import Granted, Refused
from tests.ticketing.holds.crowd import answers, ask, holders, make_show, open_lane


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
