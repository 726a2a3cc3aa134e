"""Records that a consumer gave up: kept whole in `<group>.dlq` with their origin and the reason, to show and replay.

What was replayed is noted there too, by a record without a value, and is not replayed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from aiokafka import ConsumerRecord, TopicPartition
from sqlalchemy import text

from chassis import kafka, metrics, postgres
from chassis.db import Database
from chassis.logging import get_logger
from contracts.envelope import EventData
from contracts.topics import dead_letter_topic

log = get_logger(__name__)

PREFIX = "dlq_"
REPLAYED = PREFIX + "replayed"
"""Header of the note that a letter was replayed: its offset."""
WINDOW_SECONDS = 3600.0
SEND_SECONDS = 20.0

RESUME = """
    INSERT INTO resumption (consumer, allowed) VALUES ($1, $2)
    ON CONFLICT (consumer) DO UPDATE SET allowed = excluded.allowed, resumed_at = clock_timestamp()
"""
PARKED = """
    SELECT type, count(*), min(parked_at) FROM parked WHERE consumer = $1 GROUP BY type ORDER BY min(parked_at), type
"""
GIVE_UP = "DELETE FROM parked WHERE consumer = $1 AND type = $2 RETURNING topic, partition, record_offset"
RESUMED = text("""
    SELECT resumed_at, allowed FROM resumption WHERE consumer = :consumer
      AND resumed_at > :before AND resumed_at > clock_timestamp() - make_interval(secs => :window)
""")

Record: TypeAlias = ConsumerRecord[bytes, bytes]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of a dead-letter topic. `offset` names it there; the rest is as it came."""

    offset: int
    topic: str
    partition: int
    original_offset: int
    reason: str
    at: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    group: str = ""
    """The group that gave it up."""
    replayed: bool = False


class DeadLetters:
    """Writes dead letters of one group, and says when there are too many in the last hour."""

    def __init__(self, group: str, brokers: kafka.Brokers, limit: int) -> None:
        self._group = group
        self._topic = dead_letter_topic(group).name
        self._brokers = brokers
        self._limit = limit
        self._recent: deque[float] = deque()
        self._resumed_at = datetime.min.replace(tzinfo=UTC)
        """The operator's last word that we have followed, by the database's clock."""
        self._allowed = 0
        self._allowed_until = 0.0
        self._producer: kafka.Producer | None = None

    def would_exceed_limit(self, more: int) -> bool:
        """Whether `more` dead letters are too many: then something is wrong with us rather than with the records."""
        now = time.monotonic()
        while self._recent and self._recent[0] < now - WINDOW_SECONDS:
            self._recent.popleft()
        allowed = self._allowed if now < self._allowed_until else 0
        return len(self._recent) + more > self._limit + allowed

    async def resumed(self, db: Database, more: int) -> bool:
        """Whether an operator has said in the last hour that the consumer may go on, and we have not followed it yet.

        Then the count begins anew, and for an hour as many as they said, `more` at least, may die beyond the limit.
        """
        named = {"consumer": self._group, "before": self._resumed_at, "window": WINDOW_SECONDS}
        async with db.as_worker() as session:
            word = (await session.execute(RESUMED, named)).one_or_none()
        if word is None:
            return False
        self._resumed_at, allowed = word
        self._recent.clear()
        self._allowed, self._allowed_until = max(allowed, more), time.monotonic() + WINDOW_SECONDS
        return True

    async def write(self, record: Record, reason: str) -> None:
        """Returns when Kafka has the letter; raises if it does not answer in `SEND_SECONDS`."""
        producer = await self._connected()
        try:
            await asyncio.wait_for(
                producer.send_and_wait(
                    self._topic, key=record.key, value=record.value, headers=self._headers(record, reason)
                ),
                SEND_SECONDS,
            )
        except BaseException:
            await self.close()
            raise
        self._recent.append(time.monotonic())
        metrics.DEAD_LETTERS.labels(reason.partition(":")[0][:60]).inc()
        log.error(
            "dead letter", topic=record.topic, partition=record.partition, offset=record.offset, reason=reason[:500]
        )

    def _headers(self, record: Record, reason: str) -> list[tuple[str, bytes | None]]:
        origin = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "group": self._group,
            "reason": reason[:2000],
            "at": datetime.now(UTC).isoformat(),
        }
        return [*record.headers, *((PREFIX + name, str(value).encode()) for name, value in origin.items())]

    async def _connected(self) -> kafka.Producer:
        if self._producer is None:
            producer = kafka.Producer(self._brokers, acks="all", enable_idempotence=True)
            try:
                await asyncio.wait_for(producer.start(), SEND_SECONDS)
            except BaseException:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(producer.stop(), 3)
                raise
            self._producer = producer
        return self._producer

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(producer.stop(), 3)


async def read(group: str, brokers: kafka.Brokers) -> AsyncIterator[DeadLetter]:
    """Every dead letter of a group, oldest first, up to the newest at the time of the call."""
    topic = TopicPartition(dead_letter_topic(group).name, 0)
    # Not `seek_to_beginning`: aiokafka's own reset to the end, begun by `assign`, may overtake it.
    consumer = kafka.Consumer(brokers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([topic])
        end = (await consumer.end_offsets([topic]))[topic]
        records: list[Record] = []
        while await consumer.position(topic) < end:
            records += (await consumer.getmany(topic, timeout_ms=1000)).get(topic, [])
    finally:
        await consumer.stop()
    notes = {record.offset: _replayed_offset(record) for record in records}
    replayed = set(notes.values())
    for record in records:
        if notes[record.offset] is None:
            yield _parse(record, record.offset in replayed)


async def replay(letters: Sequence[DeadLetter], brokers: kafka.Brokers, *, again: bool = False) -> int:
    """Puts letters back on their topics with their ids, and notes it; groups that handled them already skip them by
    their inbox. Those replayed before are left out unless `again`. Returns how many were replayed."""
    chosen = {(letter.group, letter.offset): letter for letter in letters if again or not letter.replayed}
    producer = kafka.Producer(brokers, acks="all", enable_idempotence=True)
    await asyncio.wait_for(producer.start(), SEND_SECONDS)
    try:
        for letter in chosen.values():
            await asyncio.wait_for(
                producer.send_and_wait(letter.topic, key=letter.key, value=letter.value, headers=list(letter.headers)),
                SEND_SECONDS,
            )
            note = [(REPLAYED, str(letter.offset).encode())]
            topic = dead_letter_topic(letter.group).name
            await asyncio.wait_for(producer.send_and_wait(topic, headers=note, key=letter.key), SEND_SECONDS)
        return len(chosen)
    finally:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(producer.stop(), 3)


async def resume(database_url: str, group: str, allowed: int) -> None:
    """Lets a consumer go on that has stopped, or will within an hour, in all its replicas. `allowed` records more than
    the limit, or as many as it had stopped for, may then die within an hour."""
    connection = await postgres.connect(database_url)
    try:
        await connection.execute(RESUME, group, allowed)
    finally:
        await connection.close()


async def parked(database_url: str, group: str) -> list[tuple[str, int, datetime]]:
    """What waits for a version that knows it, or behind such: type, number, since when."""
    connection = await postgres.connect(database_url)
    try:
        return [tuple(row) for row in await connection.fetch(PARKED, group)]
    finally:
        await connection.close()


async def give_up_parked(database_url: str, group: str, event_type: str) -> int:
    """Forgets the parked records of a type that no version will know, so that what waits behind them goes on. Those of
    a known type are only waiting. Returns how many it were."""
    if event_type in EventData.known:
        return 0
    connection = await postgres.connect(database_url)
    try:
        return len(await connection.fetch(GIVE_UP, group, event_type))
    finally:
        await connection.close()


def _replayed_offset(record: Record) -> int | None:
    """The letter that a note is about; None for a letter."""
    return next((int(value) for name, value in record.headers if name == REPLAYED and value is not None), None)


def _parse(record: Record, replayed: bool) -> DeadLetter:
    origin = {name.removeprefix(PREFIX): value.decode() for name, value in record.headers if name.startswith(PREFIX)}
    return DeadLetter(
        offset=record.offset,
        topic=origin["topic"],
        partition=int(origin["partition"]),
        original_offset=int(origin["offset"]),
        reason=origin["reason"],
        at=origin["at"],
        key=record.key,
        value=record.value,
        headers=tuple((name, value) for name, value in record.headers if not name.startswith(PREFIX)),
        group=origin["group"],
        replayed=replayed,
    )
