"""Publishes the outbox: at least once, in order per key, thousands of events a second.

One process per service leads, as long as it holds a lease: the statement that reads events reads none for anybody else,
and Kafka takes none from a producer that another leader has followed, so a leader that was frozen with events in its
hands cannot put them behind newer ones. Events of a batch are sent together and awaited together while the next batch
is read. What Kafka has acknowledged moves to `outbox_published`, where it stays replayable for some hours; an event
that Kafka refuses for itself is set aside in `outbox_failed` after `MAX_ATTEMPTS`. Events of a topic that is not there
wait for it, and for nobody else.
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

from chassis import housekeeping, kafka, metrics
from chassis.db import Database
from chassis.leases import Lease, LeaseLost
from chassis.logging import get_logger
from chassis.sending import FencedProducer, Send, partition_of, send_rows
from contracts.envelope import EVENT_BYTES

log = get_logger(__name__)

BATCH = 500
SAFETY_POLL_SECONDS = (0.02, 0.2)
"""How often to look without being woken: at first and after being idle. Other replicas' commits do not wake us."""
BUSY = 8
GATHER_SECONDS = (0.025, 0.1)
"""While events keep coming, `BUSY` or more in two batches, they gather: a millisecond for each, within these limits.
What a batch costs, here and at the broker and its readers, hardly depends on its size."""
ACKNOWLEDGE_SECONDS = 10.0
"""aiokafka waits for ever while the broker is down; a batch unacknowledged by then is sent again by a new producer,
perhaps another process's, which may reach the broker when this one cannot."""
LEASE_SECONDS = 10.0
AGAIN_SECONDS = (1.0, 3.0)
"""A leader that failed pauses longer than it takes the others to see that they may try."""
TERM_SECONDS = 86_400.0
"""Kafka forgets after a week that a producer was fenced, if nobody has asked for its name; so a leader asks anew."""
MISSING_TOPIC_SECONDS = (1.0, 5.0)
"""How long to look for a topic that the broker does not name, and when to look again."""
MAX_ATTEMPTS = 3

READ = """
    SELECT id, topic, key, value, headers, attempts FROM outbox
    WHERE id <> ALL($1::bigint[]) AND topic <> ALL($3::text[])
      AND EXISTS (SELECT FROM lease WHERE name = $4 AND epoch = $5 AND expires_at > clock_timestamp())
    ORDER BY id LIMIT $2
"""
# Whoever has seen the acknowledgement may say so, also if another one leads by then.
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

    def __init__(
        self,
        db: Database,
        brokers: kafka.Brokers,
        client_id: str,
        *,
        event_bytes: int = EVENT_BYTES,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._db = db
        self._brokers = brokers
        self._client_id = client_id
        self._event_bytes = event_bytes
        self._lease = Lease(db, "relay", lease_seconds)
        self._woken = asyncio.Event()
        self._missing: dict[str, float] = {}
        """Topics that are not there, and when to look again."""
        self.leading = False
        db.nudge = self.nudge

    def nudge(self) -> None:
        """There is something to publish."""
        self._woken.set()

    async def run(self) -> None:
        least, most = AGAIN_SECONDS
        pause = 0.0
        while True:
            started = time.monotonic()
            try:
                await self._lease.hold(self._lead, standby=housekeeping.unsay)
            except Exception as error:
                metrics.RELAY_RESTARTS.inc()
                log.warning("relay reconnects", error=repr(error))
                pause = least if time.monotonic() - started > 30 else min(max(pause * 2, least), most)
                await asyncio.sleep(pause)

    async def _lead(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(asyncio.create_task(housekeeping.keep_house(self._db)).cancel)
            connection = await self._db.pin("worker")
            stack.callback(connection.terminate)
            # If a crash forgets that events were published, they are published again; consumers skip them.
            await connection.execute("SET synchronous_commit = off")
            stack.callback(self._resign)
            refused = True
            while refused:
                refused = await self._publish_until_refused(connection)

    async def _publish_until_refused(self, connection: asyncpg.Connection[asyncpg.Record]) -> bool:
        """Whether Kafka refused an event, rather than the leader's term being over. Raises whatever else went wrong."""
        producer = await self._connect()
        self.leading = True
        metrics.RELAY_LEADER.set(1)
        try:
            await self._publish(connection, producer)
        except REFUSED as error:
            # An idempotent producer that lost a batch cannot be trusted with the next one (aiokafka #1017).
            log.warning("event refused: the producer is made anew", error=repr(error))
            return True
        finally:
            await _abandon(producer)
        return False

    def _resign(self) -> None:
        self.leading = False
        metrics.RELAY_LEADER.set(0)

    async def _connect(self) -> AIOKafkaProducer:
        producer = FencedProducer(
            self._brokers,
            f"{self._client_id}-{self._lease.id}",
            client_id=self._client_id,
            max_batch_size=self._event_bytes,
            max_request_size=self._event_bytes,
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
        term = time.monotonic() + TERM_SECONDS
        while time.monotonic() < term or previous is not None:
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
        lease = self._lease
        known = in_flight.ids if in_flight else []
        rows = await connection.fetch(READ, known, BATCH, waiting, lease.name, lease.epoch, timeout=30)
        if not rows:
            return None
        async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
            parts = await self._by_partition(producer, rows)
            if not lease.held:
                raise LeaseLost(lease.name)
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


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Stops a producer, or leaves it behind: `stop` hangs while the broker is down (aiokafka #1101)."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), 3)
