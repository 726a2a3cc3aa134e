"""Relay, consumer and the way from commit to handled, against bare aiokafka doing the same."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.consumer import Consumer
from chassis.db import Database
from chassis.relay import Relay
from chassis.runner import ConsumerRunner
from contracts.crm import CustomerChanged
from contracts.envelope import Event
from contracts.topics import TOPICS
from tests.bench.figures import Figure, Measured, compare, measure
from tests.chassis import probe
from tests.chassis.probe import ORGANISATION, running
from tests.harness import Kafka, Postgres, eventually

ROUNDS = 5
EVENTS = 50_000
KEYS = 1_000
PINGS = 200

UPSERT = """
    INSERT INTO tally (customer, organisation, names)
    SELECT DISTINCT ON (customer) customer, $2::uuid, ARRAY[name]
    FROM unnest($1::uuid[], $3::text[]) AS event (customer, name)
    ON CONFLICT (customer) DO UPDATE SET names = excluded.names
"""
RECORD = (
    "INSERT INTO inbox (consumer, event_id) SELECT $1, unnest($2::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id"
)


def events(count: int) -> list[outbox.WireRow]:
    """Events of about 600 bytes over many keys."""
    customers = [uuid4() for _ in range(KEYS)]
    return [
        outbox.wire_row(
            outbox.new_event(
                CustomerChanged(customer_id=customers[n % KEYS], name=f"{n:06}" + "x" * 400, emails=(), phones=()),
                organisation=ORGANISATION,
            )
        )
        for n in range(count)
    ]


async def producer_for(kafka: Kafka) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, enable_idempotence=True, acks="all", max_batch_size=256 * 1024
    )
    await producer.start()
    return producer


Sendable = tuple[str, bytes, bytes, list[tuple[str, bytes]]]


def ready(rows: Sequence[outbox.WireRow]) -> list[Sendable]:
    return [(topic, key, value, outbox.headers_of(headers)) for topic, key, value, headers in rows]


async def send_all(producer: AIOKafkaProducer, rows: Sequence[Sendable]) -> int:
    sends = [await producer.send(topic, key=key, value=value, headers=headers) for topic, key, value, headers in rows]
    await asyncio.gather(*sends)
    return len(sends)


async def relay(postgres: Postgres, kafka: Kafka) -> list[Figure]:
    """Draining 50,000 rows, against an idempotent producer sending the same bytes."""
    urls = await probe.create_database(postgres)
    rows = events(EVENTS)
    ours, limits = [], []
    producer = await producer_for(kafka)
    records = ready(rows)
    await send_all(producer, records[:1000])
    async with probe.database(probe.settings_for(urls, kafka)) as db:
        connection = await asyncpg.connect(urls.owner)
        for _ in range(ROUNDS):
            limits.append(await measure(lambda: send_all(producer, records)))
            await connection.execute("TRUNCATE outbox, outbox_published")
            await connection.copy_records_to_table("outbox", records=rows, columns=["topic", "key", "value", "headers"])
            await connection.execute("VACUUM ANALYZE outbox")
            ours.append(await _drain(db, kafka, connection))
        await connection.close()
    await producer.stop()
    return [compare("relay", "events/s", ours, limits, ">= 0.8")]


async def _drain(db: Database, kafka: Kafka, connection: asyncpg.Connection[Any]) -> Measured:
    one = Relay(db, kafka.bootstrap_servers, "bench")

    async def empty() -> bool:
        return not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)")

    async with running(one.run()):
        await eventually(lambda: one.leading, interval=0.001)

        async def drain() -> int:
            await eventually(empty, timeout=120, interval=0.01)
            return EVENTS

        return await measure(drain)


async def consumer(postgres: Postgres, kafka: Kafka) -> list[Figure]:
    """Inbox and one upsert per event, against raw aiokafka doing the same statements in the same batches."""
    producer = await producer_for(kafka)
    await send_all(producer, ready(events(EVENTS)))
    await producer.stop()
    ours, limits = [], []
    for _ in range(3):
        limits.append(await _consume_raw(postgres, kafka))
        ours.append(await _consume(postgres, kafka))
    return [compare("consumer", "events/s", ours, limits, ">= 0.7")]


async def _records(kafka: Kafka, group: str) -> int:
    """How many records a new group will read."""
    topic = next(topic for topic in TOPICS if topic.name == probe.TOPIC)
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    reader = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False)
    await reader.start()
    reader.assign(partitions)
    begin, end = await reader.beginning_offsets(partitions), await reader.end_offsets(partitions)
    await reader.stop()
    return sum(end[p] - begin[p] for p in partitions)


async def _consume(postgres: Postgres, kafka: Kafka) -> Measured:
    group = f"bench-{uuid4().hex[:6]}"
    urls = await probe.create_database(postgres)
    expected = await _records(kafka, group)
    seen = 0
    done = asyncio.Event()
    started: list[float] = []
    tallies = Consumer(group)
    statement = text(
        UPSERT.replace("$1::uuid[]", "CAST(:customers AS uuid[])")
        .replace("$2::uuid", "CAST(:organisation AS uuid)")
        .replace("$3::text[]", "CAST(:names AS text[])")
    )

    @tallies.on_batch(CustomerChanged)
    async def upsert(session: AsyncSession, batch: Sequence[Event[CustomerChanged]]) -> None:
        nonlocal seen
        started.append(time.perf_counter())
        await session.execute(
            statement,
            {
                "customers": [event.data.customer_id for event in batch],
                "organisation": ORGANISATION,
                "names": [event.data.name for event in batch],
            },
        )
        seen += len(batch)
        if seen >= expected:
            done.set()

    async with probe.database(probe.settings_for(urls, kafka)) as db:
        cpu = time.process_time()
        async with running(ConsumerRunner(tallies, db, probe.settings_for(urls, kafka)).run()):
            await asyncio.wait_for(done.wait(), 120)
            elapsed = time.perf_counter() - started[0]
            used = time.process_time() - cpu
    return Measured(expected / elapsed, used * 1000 / expected)


async def _consume_raw(postgres: Postgres, kafka: Kafka) -> Measured:
    group = f"raw-{uuid4().hex[:6]}"
    urls = await probe.create_database(postgres)
    expected = await _records(kafka, group)
    connection = await asyncpg.connect(urls.worker)
    reader = AIOKafkaConsumer(
        probe.TOPIC,
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await reader.start()
    seen, started, cpu = 0, 0.0, time.process_time()
    while seen < expected:
        batches = await reader.getmany(timeout_ms=100, max_records=500)
        records = [record for batch in batches.values() for record in batch]
        if not records:
            continue
        started = started or time.perf_counter()
        ids = [UUID(dict(record.headers)["ce_id"].decode()) for record in records]
        bodies = [json.loads(record.value) for record in records]
        async with connection.transaction():
            await connection.fetch(RECORD, group, ids)
            await connection.execute(
                UPSERT, [body["customer_id"] for body in bodies], ORGANISATION, [body["name"] for body in bodies]
            )
        await reader.commit()
        seen += len(records)
    elapsed, used = time.perf_counter() - started, time.process_time() - cpu
    await reader.stop()
    await connection.close()
    return Measured(expected / elapsed, used * 1000 / expected)


async def latency(postgres: Postgres, kafka: Kafka) -> list[Figure]:
    """From the commit to the end of the handler, against a bare produce and consume; medians, one at a time."""
    ours, limits = [], []
    for _ in range(3):
        limits.append(await _round_trips(kafka))
        ours.append(await _commit_to_handled(postgres, kafka))
    return [compare("latency", "ms p50", ours, limits, "<= 3", inverse=True)]


async def _round_trips(kafka: Kafka) -> Measured:
    arrived: asyncio.Queue[None] = asyncio.Queue()
    reader = AIOKafkaConsumer(probe.TOPIC, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="latest")
    await reader.start()
    for partition in reader.assignment():
        await reader.position(partition)
    producer = await producer_for(kafka)

    async def read() -> None:
        async for _ in reader:
            arrived.put_nowait(None)

    rows = ready(events(PINGS))
    async with running(read()):

        async def ping(number: int) -> float:
            topic, key, value, headers = rows[number]
            started = time.perf_counter()
            await producer.send(topic, key=key, value=value, headers=headers)
            await arrived.get()
            return time.perf_counter() - started

        measured = await _medians(ping)
    await producer.stop()
    await reader.stop()
    return measured


async def _commit_to_handled(postgres: Postgres, kafka: Kafka) -> Measured:
    group = f"latency-{uuid4().hex[:6]}"
    urls = await probe.create_database(postgres)
    settings = probe.settings_for(urls, kafka)
    handled: dict[UUID, asyncio.Event] = {}
    tallies = Consumer(group)

    @tallies.on(CustomerChanged)
    async def note(session: AsyncSession, event: Event[CustomerChanged]) -> None:
        if event.data.customer_id in handled:
            handled[event.data.customer_id].set()

    async with probe.database(settings) as db:
        runner = ConsumerRunner(tallies, db, settings)
        async with running(Relay(db, kafka.bootstrap_servers, group).run()), running(runner.run()):

            async def ping(_: int) -> float:
                customer = uuid4()
                handled[customer] = asyncio.Event()
                await probe.publish(db, [probe.changed(customer, "ping")])
                committed = time.perf_counter()
                await asyncio.wait_for(handled[customer].wait(), 60)
                return time.perf_counter() - committed

            await ping(0)
            return await _medians(ping)


async def _medians(ping: Callable[[int], Awaitable[float]]) -> Measured:
    cpu = time.process_time()
    times = [await ping(number) for number in range(PINGS)]
    used = time.process_time() - cpu
    return Measured(1 / sorted(times)[PINGS // 2], used * 1000 / PINGS)
