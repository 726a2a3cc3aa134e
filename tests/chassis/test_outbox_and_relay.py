"""An event is published if and only if its transaction committed, in order per key, whatever dies."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka.errors import CorruptRecordException
from sqlalchemy import text

from chassis import housekeeping, metrics, outbox, relay
from chassis.db import Database
from chassis.leases import Lease
from chassis.relay import Relay
from contracts.crm import CustomerChanged
from contracts.topics import Topic
from deploy.platform import topics
from deploy.platform.databases import DatabaseUrls
from tests.chassis import probe
from tests.chassis.probe import ORGANISATION, changed, new_customers, running
from tests.harness import Kafka, eventually


async def depth(db: Database, table: str = "outbox") -> int:
    async with db.as_worker() as session:
        return await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0


async def drained(db: Database) -> bool:
    return await depth(db) == 0


async def test_events_commit_with_their_transaction_in_order(db: Database) -> None:
    customer = uuid4()
    await probe.publish(db, [changed(customer, str(n)) for n in range(3)])
    async with db.as_worker() as session:
        rows = (await session.execute(text("SELECT topic, key, value FROM outbox ORDER BY id"))).all()
    assert [json.loads(row.value)["name"] for row in rows] == ["0", "1", "2"]
    assert {(row.topic, bytes(row.key).decode()) for row in rows} == {("crm.customer", str(customer))}


async def test_a_rolled_back_transaction_publishes_nothing(db: Database) -> None:
    async def fail() -> None:
        async with db.as_worker() as session:
            outbox.add(session, changed(uuid4(), "lost"), organisation=ORGANISATION)
            raise RuntimeError("the command failed")

    with pytest.raises(RuntimeError, match="the command failed"):
        await fail()
    await probe.publish(db, [])
    assert await depth(db) == 0


async def test_a_savepoint_rolled_back_takes_no_event_with_it(db: Database) -> None:
    async with db.as_worker() as session:
        outbox.add(session, changed(uuid4(), "kept"), organisation=ORGANISATION)
        savepoint = await session.begin_nested()
        with pytest.raises(RuntimeError, match="savepoint"):
            outbox.add(session, changed(uuid4(), "in between"), organisation=ORGANISATION)
        await savepoint.rollback()
    assert await depth(db) == 1


async def test_the_relay_publishes_in_order_and_keeps_what_it_published(db: Database, kafka: Kafka) -> None:
    customers = new_customers(5)
    for n in range(40):
        await probe.publish(db, [changed(customer, str(n)) for customer in customers])
    async with running(Relay(db, kafka.bootstrap_servers, "probe").run()):
        await eventually(lambda: drained(db))
    found = await probe.names_on_topic(kafka, set(customers))
    assert all(names == [str(n) for n in range(40)] for names in found.values())
    assert await depth(db, "outbox_published") == 200


async def test_events_that_lie_in_another_order_are_published_in_theirs(db: Database, kafka: Kafka) -> None:
    """Rows that were touched since, as by a replay, lie behind the younger ones."""
    customer = uuid4()
    await probe.publish(db, [changed(customer, str(n)) for n in range(30)])
    async with db.as_worker() as session:
        for row in (await session.scalars(text("SELECT id FROM outbox ORDER BY id DESC OFFSET 5"))).all():
            await session.execute(text("UPDATE outbox SET attempts = attempts WHERE id = :id"), {"id": row})
        lie = list(await session.scalars(text("SELECT id FROM outbox")))
    assert lie != sorted(lie), "the premise"
    async with running(Relay(db, kafka.bootstrap_servers, "probe").run()):
        await eventually(lambda: drained(db))
    assert (await probe.names_on_topic(kafka, {customer}))[customer] == [str(n) for n in range(30)]


async def test_a_relay_killed_between_send_and_delete_loses_nothing(
    db: Database, kafka: Kafka, urls: DatabaseUrls, group: str
) -> None:
    customer = uuid4()
    await probe.publish(db, [changed(customer, str(n)) for n in range(10)])
    killed = await probe.run_process("relay", group, urls, kafka, crash="after send")
    assert await asyncio.wait_for(killed.wait(), 30) == 9
    assert await depth(db) == 10, "it died before taking them out"
    async with running(Relay(db, kafka.bootstrap_servers, "probe").run()):
        await eventually(lambda: drained(db))
    names = (await probe.names_on_topic(kafka, {customer}))[customer]
    assert names == [str(n) for n in range(10)] * 2, "all again, in order: consumers skip them by their inbox"


async def publish_with_two_relays(db: Database, kafka: Kafka) -> list[str]:
    customer = uuid4()
    async with (
        running(Relay(db, kafka.bootstrap_servers, "one").run()),
        running(Relay(db, kafka.bootstrap_servers, "two").run()),
    ):
        for n in range(300):
            await probe.publish(db, [changed(customer, str(n))])
        await eventually(lambda: drained(db))
    return (await probe.names_on_topic(kafka, {customer}))[customer]


async def test_two_relays_at_once_publish_in_order_and_once(db: Database, kafka: Kafka) -> None:
    assert await publish_with_two_relays(db, kafka) == [str(n) for n in range(300)]


async def test_control_without_the_lease_two_relays_repeat_events(
    db: Database, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hold(self: Lease, work: Callable[[], Awaitable[None]], **_: Any) -> None:
        self._until = math.inf
        await work()

    monkeypatch.setattr(Lease, "hold", hold)
    monkeypatch.setattr(relay, "READ", re.sub(r"AND EXISTS .*", "AND $4 <> '' AND $5::bigint = 0", relay.READ))
    assert await publish_with_two_relays(db, kafka) != [str(n) for n in range(300)]


async def test_an_event_kafka_refuses_is_set_aside_and_the_rest_goes_on(db: Database, kafka: Kafka) -> None:
    customer = uuid4()
    huge = CustomerChanged(customer_id=customer, name="x" * 2_000_000, emails=(), phones=())
    await probe.publish(db, [changed(customer, "before"), huge, changed(customer, "after")])
    async with running(Relay(db, kafka.bootstrap_servers, "probe").run()):
        await eventually(lambda: drained(db))
    assert await depth(db, "outbox_failed") == 1
    names = (await probe.names_on_topic(kafka, {customer}))[customer]
    assert list(dict.fromkeys(names)) == ["before", "after"]


async def test_a_topic_that_is_not_there_blocks_no_other(db: Database, kafka: Kafka) -> None:
    customer = uuid4()
    name = f"not.there.{customer.hex}"
    lost = text("INSERT INTO outbox (topic, key, value, headers) VALUES (:topic, 'k', 'v', '[]')")
    async with db.as_worker() as session:
        await session.execute(lost, {"topic": name})
    await probe.publish(db, [changed(customer, str(n)) for n in range(3)])

    async def only_the_lost_one_waits() -> bool:
        return await depth(db) == 1

    async with running(Relay(db, kafka.bootstrap_servers, "probe").run()):
        await eventually(only_the_lost_one_waits)
        assert (await probe.names_on_topic(kafka, {customer}))[customer] == ["0", "1", "2"]
        await topics.apply(kafka.bootstrap_servers, [Topic(name, producer="probe", partitions=1)])
        await eventually(lambda: drained(db))
    assert await depth(db, "outbox_failed") == 0


async def waiting(connection: asyncpg.Connection[asyncpg.Record]) -> list[asyncpg.Record]:
    return await connection.fetch("SELECT * FROM outbox ORDER BY id")


async def test_nobody_is_blamed_for_a_refusal_that_may_be_a_neighbours(db: Database, kafka: Kafka) -> None:
    customer = uuid4()
    await probe.publish(db, [changed(customer, "small"), changed(customer, "x" * 1000)])
    broken = Relay(db, kafka.bootstrap_servers, "probe")
    connection = await db.pin()
    try:
        for _ in range(relay.MAX_ATTEMPTS + 1):
            rows = await waiting(connection)
            await broken._refused(connection, rows, CorruptRecordException())
        rows = await waiting(connection)
        assert [row["attempts"] for row in rows] == [relay.MAX_ATTEMPTS + 1] * 2
        await broken._refused(connection, rows[:1], CorruptRecordException())
    finally:
        await connection.close()
    assert (await depth(db), await depth(db, "outbox_failed")) == (1, 1), "alone, it is to blame"
    async with running(broken.run()):
        await eventually(lambda: drained(db))
    assert (await probe.names_on_topic(kafka, {customer}))[customer] == ["x" * 1000]


async def test_what_was_refused_before_travels_alone(db: Database, kafka: Kafka) -> None:
    customer = uuid4()
    await probe.publish(db, [changed(customer, str(n)) for n in range(5)])
    async with db.as_worker() as session:
        await session.execute(text("UPDATE outbox SET attempts = 1 WHERE id = (SELECT min(id) + 2 FROM outbox)"))
    connection, sender = await db.pin(), Relay(db, kafka.bootstrap_servers, "probe")
    sizes: list[int] = []

    async def send_once() -> None:
        producer = await sender._connect()
        batch = await sender._send_next(connection, producer, None)
        assert batch is not None
        sizes.extend(len(send.rows) for send in batch.sends)
        await sender._settle(connection, batch)
        await producer.stop()

    try:
        await sender._lease.hold(send_once)
    finally:
        await connection.close()
    assert sizes == [2, 1, 2]
    assert await drained(db)


async def test_old_partitions_of_published_events_are_dropped(db: Database) -> None:
    async with db.as_worker() as session:
        await session.execute(text("SELECT footlights_rotate('-30 hours')"))
        left = await session.scalar(
            text("SELECT count(*) FROM pg_inherits WHERE inhparent = 'outbox_published'::regclass")
        )
    assert left == 0


async def test_a_long_reader_stops_neither_publishing_nor_the_room_for_it(
    db: Database, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a backup. There is no room ahead at first, and something to drop."""
    monkeypatch.setattr(housekeeping, "KEEP", "-1 hour")
    failures = metrics.HOUSEKEEPING_FAILURES._value.get()
    metrics.OUTBOX_HOURS_AHEAD.set(0)
    reader = await db.pin()
    await reader.execute("BEGIN; SELECT count(*) FROM outbox_published")
    try:
        async with running(Relay(db, kafka.bootstrap_servers, "probe").run()):
            await eventually(lambda: metrics.OUTBOX_HOURS_AHEAD._value.get() == 24, timeout=60)
            customer = uuid4()
            await probe.publish(db, [changed(customer, "read on")])
            await eventually(lambda: drained(db), timeout=60)
        assert await reader.fetchval("SELECT count(*) FROM pg_locks WHERE relation = 'outbox_published'::regclass") == 1
    finally:
        await reader.close()
    assert metrics.HOUSEKEEPING_FAILURES._value.get() == failures
    assert (await probe.names_on_topic(kafka, {customer}))[customer] == ["read on"]


async def test_housekeeping_that_fails_is_told_and_tried_again(
    db: Database, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the table alone keeps us from making room; events go on while there is some."""
    monkeypatch.setattr(housekeeping, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(housekeeping, "LOCK_TIMEOUT", "50ms")
    failures = metrics.HOUSEKEEPING_FAILURES._value.get()
    metrics.OUTBOX_HOURS_AHEAD.set(0)
    vacuum = await db.pin()
    await vacuum.execute("BEGIN; LOCK TABLE outbox_published IN SHARE UPDATE EXCLUSIVE MODE")
    try:
        async with running(Relay(db, kafka.bootstrap_servers, "probe").run()):
            await probe.publish(db, [changed(uuid4(), "meanwhile")])
            await eventually(lambda: drained(db), timeout=60)
            await eventually(lambda: metrics.HOUSEKEEPING_FAILURES._value.get() > failures + 1, timeout=60)
            assert metrics.OUTBOX_HOURS_AHEAD._value.get() == 0
            await vacuum.execute("COMMIT")
            await eventually(lambda: metrics.OUTBOX_HOURS_AHEAD._value.get() == 24, timeout=60)
    finally:
        await vacuum.close()


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def test_the_outbox_is_measured_while_kafka_is_away_and_by_the_leader_alone(db: Database) -> None:
    await probe.publish(db, [changed(uuid4(), str(n)) for n in range(3)])
    metrics.OUTBOX_DEPTH.set(0)
    async with running(Relay(db, "127.0.0.1:1", "probe").run()):
        await eventually(lambda: metrics.OUTBOX_DEPTH._value.get() == 3, timeout=60)
    metrics.OUTBOX_DEPTH.set(3)
    leader = Lease(db, "relay", 30)
    async with running(leader.hold(_for_ever)):
        await eventually(lambda: leader.held, timeout=60)
        standing_by = asyncio.create_task(Relay(db, "127.0.0.1:1", "probe").run())
        await eventually(lambda: metrics.OUTBOX_DEPTH._value.get() == 0, timeout=60)
        assert metrics.RELAY_LEADER._value.get() == 0
        standing_by.cancel()
