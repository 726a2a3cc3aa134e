"""Publishes the outbox: at least once, in order per key, thousands of events a second.

One process per service leads (a session advisory lock, held by the connection that runs every statement, so a
leader that lost its connection cannot go on). Events of a batch are sent together and awaited together while the
next batch is read. What Kafka has acknowledged moves to `outbox_published`, where it stays replayable for some hours;
an event that Kafka refuses for itself is set aside in `outbox_failed` after `MAX_ATTEMPTS`. Events of a topic that is
not there wait for it, and for nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from chassis import kafka, metrics
from chassis.db import Database
from chassis.logging import get_logger
from chassis.sending import Send, partition_of, send_rows

log = get_logger(__name__)

BATCH = 500
MAX_BATCH_BYTES = 1_000_000
"""Of one partition's batch, just below what brokers accept; also the largest event."""
SAFETY_POLL_SECONDS = (0.02, 0.2)
"""How often to look without being woken: at first and after being idle. Other replicas' commits do not wake us."""
BUSY = 8
GATHER_SECONDS = (0.025, 0.1)
"""While events keep coming, `BUSY` or more in two batches, they gather: a millisecond for each, within these limits.
What a batch costs, here and at the broker and its readers, hardly depends on its size."""
ACKNOWLEDGE_SECONDS = 20.0
"""aiokafka waits for ever while the broker is down; a batch unacknowledged by then is sent again by a new producer."""
STANDBY_SECONDS = 0.5
MISSING_TOPIC_SECONDS = (1.0, 5.0)
"""How long to look for a topic that the broker does not name, and when to look again."""
MAX_ATTEMPTS = 3
KEEP = "12 hours"
LOCK = "SELECT pg_try_advisory_lock(hashtext('footlights outbox relay'))"

READ = """
    SELECT id, topic, key, value, headers, attempts FROM outbox
    WHERE id <> ALL($1::bigint[]) AND topic <> ALL($3::text[]) ORDER BY id LIMIT $2
"""
MOVE = """
    WITH moved AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING *)
    INSERT INTO outbox_published (id, topic, key, value, headers, attempts, created_at)
    SELECT id, topic, key, value, headers, attempts, created_at FROM moved
"""
SET_ASIDE = """
    WITH failed AS (DELETE FROM outbox WHERE id = $1 RETURNING *)
    INSERT INTO outbox_failed (id, topic, key, value, headers, attempts, created_at, reason)
    SELECT id, topic, key, value, headers, attempts, created_at, $2 FROM failed
"""

WAITING = """
    SELECT count(*) AS n, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS age FROM outbox
"""

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
REFUSED = (*TOO_LARGE, InvalidTopicError, CorruptRecordException)
"""What another attempt, or another broker, will not change."""


@dataclass(slots=True)
class _Batch:
    sends: list[Send]

    @property
    def size(self) -> int:
        return sum(len(send.rows) for send in self.sends)

    @property
    def ids(self) -> list[int]:
        return [row["id"] for send in self.sends for row in send.rows]


class Relay:
    """Runs until cancelled; reconnects by itself to both PostgreSQL and Kafka."""

    def __init__(self, db: Database, brokers: kafka.Brokers, client_id: str) -> None:
        self._db = db
        self._brokers = brokers
        self._client_id = client_id
        self._woken = asyncio.Event()
        self._missing: dict[str, float] = {}
        """Topics that are not there, and when to look again."""
        self.leading = False
        db.nudge = self.nudge

    def nudge(self) -> None:
        """There is something to publish."""
        self._woken.set()

    async def run(self) -> None:
        pause = 0.1
        while True:
            started = time.monotonic()
            try:
                await self._lead()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                metrics.RELAY_RESTARTS.inc()
                log.warning("relay reconnects", error=repr(error))
            pause = 0.1 if time.monotonic() - started > 30 else min(pause * 2, 3)
            await asyncio.sleep(pause)

    async def _lead(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            connection = await self._db.pin("worker")
            stack.callback(connection.terminate)
            # If a crash forgets that events were published, they are published again; consumers skip them.
            await connection.execute("SET synchronous_commit = off")
            while not await connection.fetchval(LOCK, timeout=10):  # noqa: ASYNC110, nobody tells of a released lock
                await asyncio.sleep(STANDBY_SECONDS)
            producer = await self._connect()
            stack.push_async_callback(_abandon, producer)
            self.leading = True
            metrics.RELAY_LEADER.set(1)
            stack.callback(self._resign)
            await self._publish(connection, producer)

    def _resign(self) -> None:
        self.leading = False
        metrics.RELAY_LEADER.set(0)

    async def _connect(self) -> AIOKafkaProducer:
        producer = kafka.Producer(
            self._brokers,
            client_id=self._client_id,
            enable_idempotence=True,
            acks="all",
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_BATCH_BYTES,
            linger_ms=0,
            request_timeout_ms=10_000,
            retry_backoff_ms=200,
        )
        try:
            await asyncio.wait_for(producer.start(), ACKNOWLEDGE_SECONDS)
        except BaseException:
            await _abandon(producer)
            raise
        return producer

    async def _publish(self, connection: asyncpg.Connection[asyncpg.Record], producer: AIOKafkaProducer) -> None:
        previous: _Batch | None = None
        idle = SAFETY_POLL_SECONDS[0]
        upkeep_due = 0.0
        while True:
            if time.monotonic() >= upkeep_due:
                upkeep_due = time.monotonic() + await self._upkeep(connection)
            self._woken.clear()
            batch = await self._send_next(connection, producer, previous)
            if previous is not None:
                await self._settle(connection, previous)
                idle = SAFETY_POLL_SECONDS[0]
            last, previous = previous, batch
            if batch is not None and last is not None and BUSY <= last.size + batch.size < BATCH:
                least, most = GATHER_SECONDS
                await asyncio.sleep(min(max(batch.size / 1000, least), most))
            elif batch is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), idle)
                idle = min(idle * 2, SAFETY_POLL_SECONDS[1])

    async def _send_next(
        self, connection: asyncpg.Connection[asyncpg.Record], producer: AIOKafkaProducer, in_flight: _Batch | None
    ) -> _Batch | None:
        waiting = [topic for topic, again in self._missing.items() if again > time.monotonic()]
        rows = await connection.fetch(READ, in_flight.ids if in_flight else [], BATCH, waiting, timeout=30)
        if not rows:
            return None
        async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
            parts = await self._by_partition(producer, rows)
            sends = [send for part in parts for send in await send_rows(producer, *part)]
        return _Batch(sends) if sends else None

    async def _by_partition(
        self, producer: AIOKafkaProducer, rows: list[asyncpg.Record]
    ) -> Iterable[tuple[TopicPartition, list[asyncpg.Record]]]:
        """The rows of each partition in order, without those of missing topics. Kafka's own rule: the hash of the
        key."""
        parts: dict[TopicPartition, list[asyncpg.Record]] = {}
        found = {topic: await self._partitions(producer, topic) for topic in {row["topic"] for row in rows}}
        for row in rows:
            topic = row["topic"]
            if partitions := found[topic]:
                parts.setdefault(TopicPartition(topic, partition_of(row["key"], partitions)), []).append(row)
        return parts.items()

    async def _partitions(self, producer: AIOKafkaProducer, topic: str) -> tuple[int, ...]:
        """The partitions of a topic; none if it is not there (yet)."""
        try:
            async with asyncio.timeout(MISSING_TOPIC_SECONDS[0]):
                found = tuple(sorted(await producer.partitions_for(topic)))
        except (TimeoutError, UnknownTopicOrPartitionError, TopicAuthorizationFailedError) as error:
            self._missing[topic] = time.monotonic() + MISSING_TOPIC_SECONDS[1]
            log.error("topic missing: its events wait", topic=topic, error=repr(error))
            return ()
        self._missing.pop(topic, None)
        return found

    async def _settle(self, connection: asyncpg.Connection[asyncpg.Record], batch: _Batch) -> None:
        """Waits for Kafka's acknowledgement of a batch and takes it out of the outbox."""
        _, late = await asyncio.wait([send.acknowledged for send in batch.sends], timeout=ACKNOWLEDGE_SECONDS)
        if late:
            raise TimeoutError(f"{len(late)} of {len(batch.sends)} partitions have not acknowledged")
        published: list[int] = []
        trouble: BaseException | None = None
        for send in batch.sends:
            error = send.acknowledged.exception()
            if error is None:
                published += [row["id"] for row in send.rows]
                metrics.OUTBOX_PUBLISHED.labels(send.rows[0]["topic"]).inc(len(send.rows))
                continue
            trouble = error
            if isinstance(error, REFUSED):
                await self._refused(connection, send.rows, error)
        if published:
            await connection.execute(MOVE, published, timeout=30)
        if trouble is not None:
            # An idempotent producer that lost a batch cannot be trusted with the next one (aiokafka #1017).
            raise trouble

    async def _refused(
        self, connection: asyncpg.Connection[asyncpg.Record], rows: list[asyncpg.Record], error: BaseException
    ) -> None:
        """Notes the attempt. If size is the reason, the largest row is to blame; else nobody knows which, and the rows
        travel alone from now on (see `send_rows`)."""
        row = max(rows, key=lambda row: len(row["value"]))
        blamed = [row] if isinstance(error, TOO_LARGE) else rows
        if len(blamed) > 1 or row["attempts"] + 1 < MAX_ATTEMPTS:
            ids = [each["id"] for each in blamed]
            await connection.execute("UPDATE outbox SET attempts = attempts + 1 WHERE id = ANY($1::bigint[])", ids)
            return
        await connection.execute(SET_ASIDE, row["id"], repr(error))
        metrics.OUTBOX_FAILED.labels(row["topic"]).inc()
        log.error("event set aside in outbox_failed", outbox_id=row["id"], topic=row["topic"], error=repr(error))

    async def _upkeep(self, connection: asyncpg.Connection[asyncpg.Record]) -> float:
        """Keeps the partitions of published events and the gauges. Returns seconds until the next time."""
        await connection.execute("SELECT footlights_rotate($1::text::interval)", KEEP, timeout=30)
        waiting = await connection.fetch(WAITING)
        metrics.OUTBOX_DEPTH.set(waiting[0]["n"])
        metrics.OUTBOX_AGE.set(float(waiting[0]["age"]))
        return 5.0


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Stops a producer, or leaves it behind: `stop` hangs while the broker is down (aiokafka #1101)."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), 3)
