"""New events as they come, in every replica, for what is shown live."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from chassis import kafka, metrics
from chassis.logging import get_logger
from contracts.envelope import Event, EventData, UnknownEventType, decode

log = get_logger(__name__)

Record: TypeAlias = ConsumerRecord[bytes, bytes]


class Tail:
    """Every replica sees every new event of some topics, from now on; nothing is remembered. For live updates.

    `wants` says of a record whether it is worth being decoded.
    """

    def __init__(
        self,
        brokers: kafka.Brokers,
        topics: Sequence[str],
        callback: Callable[[Event[EventData]], None],
        wants: Callable[[Record], bool] = lambda _: True,
    ) -> None:
        self._brokers = brokers
        self._topics = topics
        self._callback = callback
        self._wants = wants
        self.ready = asyncio.Event()

    async def run(self) -> None:
        while True:
            consumer = kafka.Consumer(
                self._brokers,
                *self._topics,
                auto_offset_reset="latest",
                enable_auto_commit=False,
                request_timeout_ms=15_000,
                retry_backoff_ms=250,
            )
            try:
                await consumer.start()
                # Positions are settled before `ready`, so nothing that happens afterwards is missed.
                for partition in consumer.assignment():
                    await consumer.position(partition)
                self.ready.set()
                while True:
                    for records in (await consumer.getmany(timeout_ms=1_000)).values():
                        for record in records:
                            self._tell(record)
            except (KafkaError, OSError) as error:
                log.warning("tail reconnects", error=repr(error))
            finally:
                self.ready.clear()
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(consumer.stop(), 3)
            await asyncio.sleep(1)

    def _tell(self, record: Record) -> None:
        try:
            if self._wants(record):
                self._callback(decode(record.headers, record.value))
        except UnknownEventType:
            metrics.EVENTS_SKIPPED.labels("unknown type").inc()
        except Exception:
            log.exception("event not shown live", topic=record.topic, offset=record.offset)
