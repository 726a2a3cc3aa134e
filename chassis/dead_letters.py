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

from chassis import kafka, metrics
from chassis.logging import get_logger
from contracts.topics import dead_letter_topic

log = get_logger(__name__)

PREFIX = "dlq_"
REPLAYED = PREFIX + "replayed"
"""Header of the note that a letter was replayed: its offset."""
WINDOW_SECONDS = 3600.0
SEND_SECONDS = 20.0

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
        self._producer: kafka.Producer | None = None

    def would_exceed_limit(self, more: int) -> bool:
        """Whether `more` dead letters are too many: then something is wrong with us rather than with the records."""
        horizon = time.monotonic() - WINDOW_SECONDS
        while self._recent and self._recent[0] < horizon:
            self._recent.popleft()
        return len(self._recent) + more > self._limit

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
