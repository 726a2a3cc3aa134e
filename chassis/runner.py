"""Handles events: at least once from Kafka, effects exactly once, and a bad record never blocks a partition.

A part of a batch is one transaction: inbox, effects and new events commit together; then the offsets. If it fails
for a passing reason (database gone, deadlock) it is tried again in place, for as long as it takes; for any other,
each record gets a transaction of its own and the bad ones go to the dead letters. A record that is no event of ours is
a dead letter; an event of an unknown type, or one nobody handles, is counted and skipped.

A consumer that fails, or stands still before waiting records, is made anew: after an answer that it does not know,
aiokafka goes on without the part of itself that got it, and says so or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from opentelemetry.trace import SpanKind
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, inbox, kafka, metrics, tracing
from chassis.consumer import BatchHandler, Consumer
from chassis.db import Database
from chassis.dead_letters import DeadLetters
from chassis.errors import Permanent, is_no_records_fault, is_passing
from chassis.lag import Lag
from chassis.logging import get_logger
from chassis.settings import ServiceSettings
from contracts.envelope import Event, EventData, MalformedEvent, UnknownEventType, decode, type_of

log = get_logger(__name__)

Record: TypeAlias = ConsumerRecord[bytes, bytes]

MEASURE_SECONDS = 5.0
POLL_MS = 500
"""A poll ends as soon as there are records; this is how often it is begun anew while there are none."""
RETRY_SECONDS = (0.1, 5.0)
TRANSACTION_SECONDS = 0.2
"""About how long a transaction may hold its locks: people wait for the same rows. Sets how many events it gets."""
RESUMED_SECONDS = 2.0
"""How often a stopped consumer looks whether it may go on."""
STOPPED = "too many dead letters: consumer stopped until an operator lets it go on"
ATTEMPTS = 3
"""How often a record alone is tried before it is a dead letter: a lost race may succeed the second time."""


class ConsumerRunner:
    """Runs a `Consumer` on Kafka and the service's database."""

    def __init__(self, consumer: Consumer, db: Database, settings: ServiceSettings) -> None:
        self._consumer = consumer
        self._db = db
        self._stopping = asyncio.Event()
        self._broken = asyncio.Event()
        self._busy = False
        """Whether records are being handled."""
        self._batch_size = settings.kafka_batch_size
        self._chunk = 20
        self.stopped = False
        """True after too many dead letters, until an operator has looked and says that it may go on."""
        self._settings = settings
        self._dead_letters = DeadLetters(consumer.group, settings, settings.kafka_dead_letter_limit)
        self._broker = kafka.broker(
            settings,
            client_id=f"{settings.service}-consumer",
            apply_types=False,
            logger=None,
            allow_auto_create_topics=False,
            request_timeout_ms=15_000,
            retry_backoff_ms=250,
        )
        self._subscriber = self._broker.subscriber(
            *consumer.topics,
            batch=True,
            group_id=consumer.group,
            group_instance_id=settings.kafka_instance or None,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(StickyPartitionAssignor,),
            rebalance_timeout_ms=60_000,
            session_timeout_ms=10_000,
            parser=_keep_raw,
            decoder=_records,
        )
        self._subscriber(self._handle)
        # FastStream's own sleeps after every empty poll, which makes it either late or busy for nothing.
        self._subscriber.get_msg = self._poll  # type: ignore[method-assign]

    async def run(self) -> None:
        """Connects, waiting for a broker that is not there yet, and consumes until cancelled."""
        try:
            while True:
                self._broken.clear()
                try:
                    await self._broker.start()
                    await self._until_broken()
                    metrics.CONSUMER_RESTARTS.inc()
                except Exception as error:
                    unexpected = not isinstance(error, KafkaError | OSError)
                    reason = await kafka.trouble(self._settings) or repr(error)
                    log.warning("consumer waits for Kafka", error=reason, exc_info=unexpected)
                await self._stop_broker()
                await asyncio.sleep(1)
        finally:
            await self.stop()

    async def stop(self) -> None:
        self._stopping.set()
        await self._stop_broker()
        await self._dead_letters.close()

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned and nothing has stopped us."""
        consumer = self._kafka
        return not self.stopped and consumer is not None and bool(consumer.assignment())

    @property
    def _kafka(self) -> AIOKafkaConsumer | None:
        return self._subscriber.consumer

    async def _until_broken(self) -> None:
        lag = Lag(self._consumer.topics)
        while not lag.stalled:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._broken.wait(), MEASURE_SECONDS)
                return
            if self._kafka is not None:
                await lag.measure(self._kafka, self._busy)
        log.error("consumer stands still before waiting records, and is made anew", group=self._consumer.group)

    async def _poll(self, consumer: AIOKafkaConsumer) -> tuple[Record, ...]:
        self._busy = False
        try:
            records = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._batch_size)
        except KafkaError as error:
            log.error("consumer failed, and is made anew", group=self._consumer.group, error=repr(error))
            self._broken.set()
            raise ConsumerStoppedError from error
        self._busy = bool(records)
        return tuple(chain.from_iterable(records.values()))

    async def _stop_broker(self) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._broker.stop(), 5)

    async def _handle(self, records: Sequence[Record]) -> None:
        """Never raises: FastStream would log the error and go on behind the batch, which would lose it."""
        metrics.BATCH_SIZE.observe(len(records))
        pause = RETRY_SECONDS[0]
        while not self._stopping.is_set():
            try:
                bad = await self._process(records)
                if self._dead_letters.would_exceed_limit(len(bad)):
                    await self._until_resumed(len(bad))
                    records = self._still_ours(records)
                    continue
                for record, reason in bad:
                    await self._dead_letters.write(record, reason)
                await self._commit(records)
                return
            except Exception as error:
                # Also anything unexpected: going on would skip records, waiting only delays them.
                metrics.CONSUMER_RETRIES.inc()
                log.warning("batch retried", records=len(records), error=repr(error), exc_info=not is_passing(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, RETRY_SECONDS[1])

    async def _process(self, records: Sequence[Record]) -> list[tuple[Record, str]]:
        """Applies the records' effects. Returns those that cannot be handled, with the reason."""
        events, bad = self._decode(records)
        while events:
            chunk, events = events[: self._chunk], events[self._chunk :]
            bad += await self._process_chunk(chunk)
        return bad

    async def _process_chunk(self, events: Sequence[tuple[Record, Event[EventData]]]) -> list[tuple[Record, str]]:
        """One transaction for all, or one for each if that fails."""
        started = time.monotonic()
        try:
            await self._apply([event for _, event in events])
        except Exception as error:
            if is_no_records_fault(error):
                self._chunk = max(self._chunk // 2, 1)
                raise
            log.info("batch split", records=len(events), error=repr(error))
            reasons = [(record, await self._apply_alone(event)) for record, event in events]
            return [(record, reason) for record, reason in reasons if reason]
        self._adapt(len(events), time.monotonic() - started)
        return []

    def _adapt(self, done: int, seconds: float) -> None:
        if seconds > 2 * TRANSACTION_SECONDS:
            self._chunk = max(self._chunk // 2, 1)
        elif done == self._chunk and seconds < TRANSACTION_SECONDS / 2:
            self._chunk *= 2

    def _decode(
        self, records: Sequence[Record]
    ) -> tuple[list[tuple[Record, Event[EventData]]], list[tuple[Record, str]]]:
        events: list[tuple[Record, Event[EventData]]] = []
        bad: list[tuple[Record, str]] = []
        for record in records:
            name = type_of(record.headers)
            if name in EventData.known and not self._consumer.handles(name):
                metrics.EVENTS_SKIPPED.labels("not ours").inc()
                continue
            try:
                events.append((record, decode(record.headers, record.value)))
            except UnknownEventType:
                metrics.EVENTS_SKIPPED.labels("unknown type").inc()
            except MalformedEvent as error:
                bad.append((record, f"malformed: {error}"))
        return events, bad

    async def _apply(self, events: Sequence[Event[EventData]]) -> None:
        async with self._db.as_worker() as session:
            new = await inbox.record(session, self._consumer.group, [event.id for event in events])
            batches: dict[BatchHandler, list[Event[EventData]]] = {}
            handled = []
            for event in events:
                if event.id not in new:
                    metrics.EVENTS_SKIPPED.labels("duplicate").inc()
                    continue
                new.discard(event.id)
                handled.append(event)
                if batch_handler := self._consumer.batch_handlers.get(event.type):
                    batches.setdefault(batch_handler, []).append(event)
                else:
                    await self._call(session, event)
            for batch_handler, together in batches.items():
                await batch_handler(session, together)
        _measure(handled)

    async def _call(self, session: AsyncSession, event: Event[EventData]) -> None:
        with (
            context.handling(event.id, event.type, event.correlation_id),
            tracing.span(f"handle {event.type}", event.traceparent, SpanKind.CONSUMER),
        ):
            await self._consumer.handlers[event.type](session, event)

    async def _apply_alone(self, event: Event[EventData]) -> str | None:
        """The reason why the event cannot be handled, if so."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._apply([event])
                return None
            except Permanent as error:
                return f"permanent: {error}"
            except Exception as error:
                if is_no_records_fault(error):
                    raise
                log.warning("event failed", event_id=str(event.id), attempt=attempt, exc_info=True)
                reason = f"{type(error).__name__}: {error}"
                await asyncio.sleep(0.05 * attempt)
        return reason

    async def _commit(self, records: Sequence[Record]) -> None:
        offsets = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        consumer = self._kafka
        if consumer is None:
            return
        offsets = {partition: offset for partition, offset in offsets.items() if partition in consumer.assignment()}
        try:
            await asyncio.wait_for(consumer.commit(offsets), 15)
        except (KafkaError, TimeoutError) as error:
            # The records come again, here or elsewhere, and the inbox skips them.
            log.warning("offsets not committed", error=repr(error))

    async def _until_resumed(self, bad: int) -> None:
        while not await self._dead_letters.resumed(self._db, bad):
            if not self.stopped:
                log.critical(STOPPED, group=self._consumer.group, remedy=f"dead-letters resume {self._consumer.group}")
            self._say_stopped(True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RESUMED_SECONDS)
                return
        log.warning("consumer goes on, as an operator said", group=self._consumer.group)
        self._say_stopped(False)

    def _say_stopped(self, stopped: bool) -> None:
        self.stopped = stopped
        metrics.CONSUMER_STOPPED.set(stopped)

    def _still_ours(self, records: Sequence[Record]) -> Sequence[Record]:
        """Without those that another replica was given meanwhile: they are its to bury."""
        assigned = self._kafka.assignment() if self._kafka is not None else ()
        return [record for record in records if TopicPartition(record.topic, record.partition) in assigned]


def _measure(handled: Sequence[Event[EventData]]) -> None:
    """Counts events, and how old the oldest of the batch has become."""
    for name, count in Counter(event.type for event in handled).items():
        metrics.EVENTS_HANDLED.labels(name).inc(count)
    if handled:
        metrics.EVENT_AGE.observe((datetime.now(UTC) - min(event.time for event in handled)).total_seconds())


async def _keep_raw(records: Any) -> KafkaMessage:
    """FastStream's own parser silently drops a batch with a null or non-UTF-8 header; ours keeps the records."""
    return KafkaMessage(raw_message=records, body=b"", headers={}, message_id="", consumer=FAKE_CONSUMER)


async def _records(message: Any) -> Any:
    return message.raw_message
