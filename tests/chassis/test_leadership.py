"""One replica leads. Whatever happens to it, another follows, and what the old one does late harms nobody."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import psutil
import pytest
from sqlalchemy import text

from chassis import jobs, leases, relay
from chassis.db import Database, fenced_by
from chassis.jobs import Job, Turn, run_forever
from chassis.leases import Lease, LeaseLost
from deploy.platform.databases import DatabaseUrls
from tests.chassis import probe
from tests.chassis.probe import changed, running
from tests.chassis.wire import Wire
from tests.harness import Kafka, Postgres
from tests.harness import eventually as soon

LEASE = 3.0
"""Short, to wait less."""
TAKEOVER_SECONDS = 15.0

eventually = partial(soon, timeout=90)
"""Processes start here, beside busy neighbours."""


@pytest.fixture
def settings(urls: DatabaseUrls, kafka: Kafka) -> probe.Settings:
    return probe.settings_for(urls, kafka, leader_lease_seconds=LEASE)


@asynccontextmanager
async def other_process(urls: DatabaseUrls, kafka: Kafka, crash: str = "") -> AsyncIterator[psutil.Process]:
    """A relay that leads, in a process of its own."""
    child = await probe.run_process("relay", "", urls, kafka, crash, LEADER_LEASE_SECONDS=str(LEASE))
    try:
        yield psutil.Process(child.pid)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def holder(db: Database, name: str = "relay") -> str:
    async with db.as_worker() as session:
        held = text("SELECT holder FROM lease WHERE name = :name AND expires_at > clock_timestamp()")
        return await session.scalar(held, {"name": name}) or ""


async def drained(db: Database) -> bool:
    async with db.as_worker() as session:
        return not await session.scalar(text("SELECT count(*) FROM outbox"))


def test_by_default_another_follows_within_15_seconds() -> None:
    default = probe.Settings().leader_lease_seconds
    assert default + leases.LOOK_SECONDS + jobs.STANDBY_SECONDS < TAKEOVER_SECONDS
    assert relay.LEASE_SECONDS == jobs.LEASE_SECONDS == default


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_leader_that_is_killed_or_frozen_is_followed(
    blow: signal.Signals, db: Database, kafka: Kafka, urls: DatabaseUrls, settings: probe.Settings
) -> None:
    customer = uuid4()
    async with other_process(urls, kafka) as leader:
        await probe.publish(db, [changed(customer, "before")])
        await eventually(lambda: drained(db))
        follower = probe.relay_of(db, settings)
        async with running(follower.run()):
            leader.send_signal(blow)
            await probe.publish(db, [changed(customer, "after")])
            await eventually(lambda: drained(db))
            assert follower.leading
            if blow is signal.SIGSTOP:
                leader.resume()
            await probe.publish(db, [changed(customer, "woken")])
            await eventually(lambda: drained(db))
    assert (await probe.names_on_topic(kafka, {customer}))[customer] == ["before", "after", "woken"]


async def events_of_one_frozen_in_the_middle(
    db: Database, kafka: Kafka, urls: DatabaseUrls, settings: probe.Settings, crash: str = "before send"
) -> list[str]:
    """It has read events, and knows that it leads; then it stands still, and wakes up when another has published
    those and newer ones."""
    customer = uuid4()
    await probe.publish(db, [changed(customer, str(n)) for n in range(5)])
    async with other_process(urls, kafka, crash) as leader:
        await eventually(lambda: leader.status() == psutil.STATUS_STOPPED)
        async with running(probe.relay_of(db, settings).run()):
            await eventually(lambda: drained(db))
            await probe.publish(db, [changed(customer, str(n)) for n in range(5, 10)])
            await eventually(lambda: drained(db))
        leader.resume()
        # It leads again, and this is behind all that it may have had in its hands.
        await probe.publish(db, [changed(customer, "end")])
        await eventually(lambda: drained(db))
    return (await probe.names_on_topic(kafka, {customer}))[customer]


async def test_events_in_the_hands_of_a_frozen_leader_do_not_come_behind_newer_ones(
    db: Database, kafka: Kafka, urls: DatabaseUrls, settings: probe.Settings
) -> None:
    names = await events_of_one_frozen_in_the_middle(db, kafka, urls, settings)
    assert names == [*(str(n) for n in range(10)), "end"]


async def test_control_without_kafkas_fence_they_do(
    db: Database, kafka: Kafka, urls: DatabaseUrls, settings: probe.Settings
) -> None:
    names = await events_of_one_frozen_in_the_middle(db, kafka, urls, settings, "before send, unfenced")
    assert names == [*(str(n) for n in range(10)), *(str(n) for n in range(5)), "end"]


@asynccontextmanager
async def by_wire(postgres: Postgres, settings: probe.Settings) -> AsyncIterator[tuple[Database, Wire]]:
    """The database of the test, reached by a wire that can be cut."""
    port = postgres.server.port
    async with Wire(port).laid() as wire:
        url = settings.database_worker_url.replace(f":{port}/", f":{wire.port}/")
        async with probe.database(settings.model_copy(update={"database_worker_url": url})) as db:
            yield db, wire


async def test_a_leader_cut_off_from_the_database_stops_and_is_followed(
    db: Database, kafka: Kafka, postgres: Postgres, settings: probe.Settings
) -> None:
    customer = uuid4()
    async with by_wire(postgres, settings) as (far, wire):
        one, two = probe.relay_of(far, settings), probe.relay_of(db, settings)
        together: list[bool] = []
        watched(two, lambda: together.append(one.leading))
        async with running(one.run()):
            await eventually(lambda: one.leading)
            async with running(two.run()):
                await probe.publish(db, [changed(customer, "before")])
                await eventually(lambda: drained(db))
                wire.fall_silent()
                await probe.publish(db, [changed(customer, "after")])
                await eventually(lambda: drained(db))
                await eventually(lambda: not one.leading)
                wire.heal()
                await probe.publish(db, [changed(customer, "healed")])
                await eventually(lambda: drained(db))
    assert together == [False], "it had stopped before the other began"
    assert (await probe.names_on_topic(kafka, {customer}))[customer] == ["before", "after", "healed"]


def watched(publisher: relay.Relay, look: Callable[[], None]) -> None:
    """Looks when the relay begins to publish."""
    publish = publisher._publish

    async def looked(*arguments: Any) -> None:
        look()
        await publish(*arguments)

    publisher._publish = looked  # type: ignore[method-assign]


async def test_a_leader_whose_kafka_is_unreachable_lets_another_try(
    db: Database, kafka: Kafka, settings: probe.Settings
) -> None:
    lost = relay.Relay(db, "127.0.0.1:1", "probe-relay", lease_seconds=LEASE)
    customer = uuid4()
    async with running(lost.run()):
        await eventually(lambda: holder(db))
        await probe.publish(db, [changed(customer, "told")])
        async with running(probe.relay_of(db, settings).run()):
            await eventually(lambda: drained(db))
    assert (await probe.names_on_topic(kafka, {customer}))[customer] == ["told"]


async def test_nobody_takes_a_lease_before_its_time_and_everybody_gets_another_epoch(db: Database) -> None:
    one, two = Lease(db, "thing", 30), Lease(db, "thing", 30)
    going_on, waited = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await going_on.wait()

    first = asyncio.create_task(one.hold(work))
    await eventually(lambda: one.held)
    second = asyncio.create_task(two.hold(work, standby=waited.set))
    await waited.wait()
    assert not two.held
    going_on.set()
    await first
    assert not one.held
    await second
    assert (one.epoch, two.epoch) == (1, 2)
    assert one.id == two.id


async def test_a_lease_is_renewed_and_its_loss_ends_the_work(db: Database) -> None:
    lease = Lease(db, "thing", 1)
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def until() -> Any:
        async with db.as_worker() as session:
            return await session.scalar(text("SELECT expires_at FROM lease"))

    holding = asyncio.create_task(lease.hold(work))
    first = await eventually(until)
    await eventually(lambda: _later(until, first))
    assert not ended
    async with db.as_worker() as session:
        await session.execute(text("UPDATE lease SET epoch = epoch + 1"))
    with pytest.raises(LeaseLost):
        await holding
    assert ended
    assert not lease.held


async def _later(until: Callable[[], Any], first: Any) -> bool:
    return bool(await until() > first)


class Diary:
    """A job that notes in whose name it ran."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def job(self, name: str) -> Job:
        async def run(_: Any) -> int:
            self.lines.append(name)
            return 0

        return Job("diary", 0.02, run, alone=True, leave=lambda: self.lines.append(f"{name} left"))


@asynccontextmanager
async def replica(diary: Diary, name: str, db: Database) -> AsyncIterator[Turn]:
    turn = Turn(db, LEASE)
    async with running(turn.run()), running(run_forever(diary.job(name), db, turn)):
        yield turn


async def test_a_job_done_alone_moves_when_its_replica_ends(db: Database) -> None:
    diary = Diary()
    async with replica(diary, "first", db):
        await eventually(lambda: len(diary.lines) > 3)
        second = replica(diary, "second", db)
        await second.__aenter__()
        await eventually(lambda: len(diary.lines) > 10)
        assert set(diary.lines) == {"first"}
    await eventually(lambda: "second" in diary.lines)
    await second.__aexit__(None, None, None)


async def test_a_job_done_alone_moves_when_its_replica_is_cut_off_which_then_unsays_what_it_said(
    db: Database, postgres: Postgres, settings: probe.Settings
) -> None:
    diary = Diary()
    async with by_wire(postgres, settings) as (far, wire), replica(diary, "first", far):
        await eventually(lambda: "first" in diary.lines)
        async with replica(diary, "second", db):
            wire.fall_silent()
            await eventually(lambda: "second" in diary.lines)
            await eventually(lambda: "first left" in diary.lines)
            wire.heal()
            assert diary.lines[diary.lines.index("first left") :].count("first") == 0


async def test_what_a_replica_does_late_alone_is_refused(db: Database) -> None:
    late = Lease(db, "jobs", 30)
    held = asyncio.Event()

    async def freeze() -> None:
        held.set()
        await asyncio.Event().wait()

    holding = asyncio.create_task(late.hold(freeze))
    await held.wait()
    with fenced_by(late):
        async with db.as_worker() as session:
            # Its holder can renew the lease meanwhile; whoever wants it waits for the transaction, which is on time.
            await _renew(db, late)
            taking = asyncio.create_task(_take_by_force(db))
            await eventually(lambda: _waits_for_the_lease(db))
            assert not taking.done()
            await session.execute(text("INSERT INTO tally VALUES (gen_random_uuid(), gen_random_uuid(), '{on time}')"))
        await taking
        with pytest.raises(LeaseLost):
            async with db.as_worker() as session:
                await session.execute(text("INSERT INTO tally VALUES (gen_random_uuid(), gen_random_uuid(), '{late}')"))
    async with db.as_worker() as session:
        assert list(await session.scalars(text("SELECT names[1] FROM tally"))) == ["on time"]
    holding.cancel()


async def _renew(db: Database, lease: Lease) -> None:
    connection = await db.pin()
    assert await connection.fetchval(leases.RENEW, lease.name, lease.epoch, 30.0, timeout=10)
    connection.terminate()


async def _take_by_force(db: Database) -> None:
    connection = await db.pin()
    await connection.execute("UPDATE lease SET expires_at = clock_timestamp() - interval '1 s'")
    await connection.fetchrow(leases.TAKE, "jobs", "somebody else", 30.0)
    connection.terminate()


async def _waits_for_the_lease(db: Database) -> bool:
    connection = await db.pin()
    try:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO lease%'"
        return bool(await connection.fetchval(waiting))
    finally:
        connection.terminate()
