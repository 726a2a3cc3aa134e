"""Reads events: at least once from Kafka, effects exactly once, and a bad record never blocks a partition.

What a batch does is committed (`chassis.handling`), then its offsets. A batch that fails through no fault of its
records is tried again in place, for as long as it takes. A bad record, and one that is no event of ours, goes to the
dead letters. An event of a type that this version does not know waits for one that does (`chassis.parking`); one that
nobody handles here is counted and skipped.

A consumer that fails, or stands still before waiting records, is made anew: after an answer that it does not know,
aiokafka goes on without the part of itself that got it, and says so or not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER

from chassis import kafka, metrics
from chassis.consumer import Consumer
from chassis.db import Database
from chassis.dead_letters import DeadLetters
from chassis.errors import is_passing
from chassis.handling import Bad, Handling
from chassis.lag import Lag
from chassis.logging import get_logger
from chassis.parking import Key, Parked, Parking, is_of_topic, key_of
from chassis.settings import ServiceSettings
from contracts.envelope import Event, EventData, MalformedEvent, UnknownEventType, decode, type_of

log = get_logger(__name__)

Record: TypeAlias = ConsumerRecord[bytes, bytes]

MEASURE_SECONDS = 5.0
POLL_MS = 500
"""A poll ends as soon as there are records; this is how often it is begun anew while there are none."""
RETRY_SECONDS = (0.1, 5.0)
RESUMED_SECONDS = 2.0
"""How often a stopped consumer looks whether it may go on."""
STOPPED = "too many dead letters: consumer stopped until an operator lets it go on"


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
        self._handling = Handling(consumer, db, settings.erasure_key)
        self._parking = Parking(consumer.group, db)
        self._assigned: frozenset[TopicPartition] = frozenset()
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
            await self._replay()
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

    async def _process(self, records: Sequence[Record]) -> Bad[Record]:
        """Applies the records' effects. Returns those that cannot be handled, with the reason."""
        await self._look_for_parked()
        events, bad, later = self._decode(records)
        await self._parking.park(later)
        return bad + await self._handling.apply(events)

    async def _look_for_parked(self) -> None:
        consumer = self._kafka
        assigned = frozenset(consumer.assignment()) if consumer is not None else frozenset()
        if self._parking.keys or assigned != self._assigned:
            await self._parking.look()
            self._assigned = assigned

    def _decode(
        self, records: Sequence[Record]
    ) -> tuple[list[tuple[Record, Event[EventData]]], Bad[Record], list[tuple[Record, str]]]:
        """Events to handle now, bad records with the reason, and records that wait, with their type."""
        events: list[tuple[Record, Event[EventData]]] = []
        bad: Bad[Record] = []
        later: list[tuple[Record, str]] = []
        parked = self._parking.keys
        for record in records:
            name = type_of(record.headers)
            if name in EventData.known and not self._consumer.handles(name):
                metrics.EVENTS_SKIPPED.labels("not ours").inc()
                continue
            try:
                event = decode(record.headers, record.value)
            except UnknownEventType:
                if not is_of_topic(name, record.topic):
                    metrics.EVENTS_SKIPPED.labels("foreign type").inc()
                    continue
                parked.add(key_of(record))
                later.append((record, name or ""))
                log.warning("event of an unknown type waits for a version that knows it", type=name)
            except MalformedEvent as error:
                bad.append((record, f"malformed: {error}"))
            else:
                if parked and key_of(record) in parked:
                    later.append((record, event.type))
                else:
                    events.append((record, event))
        return events, bad, later

    async def _replay(self) -> None:
        """Handles what waited for this version. A failure is tried again, as with any event."""
        try:
            for key in await self._parking.measured():
                while await self._replay_some(key):
                    pass
        except Exception as error:
            log.warning("parked events are not replayed yet", error=repr(error), exc_info=not is_passing(error))

    async def _replay_some(self, key: Key) -> bool:
        """The oldest of a key, up to one that is still unknown. Whether there may be more."""
        records = await self._parking.waiting(key)
        for record in records:
            name = type_of(record.headers)
            if name not in EventData.known:
                return False
            if self._consumer.handles(name):
                reason = await self._replay_one(record)
                if reason and self._dead_letters.would_exceed_limit(1):
                    return False
                if reason:
                    await self._dead_letters.write(record, reason)
            await self._parking.done(record)
        return bool(records)

    async def _replay_one(self, record: Parked) -> str | None:
        try:
            return await self._handling.apply_alone(decode(record.headers, record.value))
        except MalformedEvent as error:
            return f"malformed: {error}"

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


async def _keep_raw(records: Any) -> KafkaMessage:
    """FastStream's own parser silently drops a batch with a null or non-UTF-8 header; ours keeps the records."""
    return KafkaMessage(raw_message=records, body=b"", headers={}, message_id="", consumer=FAKE_CONSUMER)


async def _records(message: Any) -> Any:
    return message.raw_message
