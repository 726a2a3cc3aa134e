"""How many records a consumer has still to handle, and whether it moves at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from chassis import metrics

LOOK_SECONDS = 10.0
POSITION_SECONDS = 0.2
STALL_SECONDS = 60.0
"""Longer than a group takes to find itself again."""

Positions = dict[TopicPartition, int | None]


class Lag:
    """Of the partitions that one consumer reads."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics
        self._positions: Positions = {}
        self._moved = time.monotonic()

    async def measure(self, consumer: AIOKafkaConsumer, busy: bool) -> None:
        """Sets the gauge; it stays as it was while the broker cannot be asked. `busy`: records are being handled."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                assigned = tuple(consumer.assignment())
                ends = await consumer.end_offsets(assigned)
                known = await asyncio.gather(*(_position(consumer, partition) for partition in assigned))
        except (KafkaError, OSError, TimeoutError):
            self._moved = time.monotonic()
            return
        positions = dict(zip(assigned, known, strict=True))
        lag = dict.fromkeys(self._topics, 0)
        for partition, position in positions.items():
            if position is not None:
                lag[partition.topic] += max(ends[partition] - position, 0)
        for topic, records in lag.items():
            metrics.CONSUMER_LAG.labels(topic).set(records)
        waiting = any(lag.values()) or None in positions.values()
        if busy or not waiting or positions != self._positions:
            self._moved = time.monotonic()
        self._positions = positions

    @property
    def stalled(self) -> bool:
        """Records have waited for `STALL_SECONDS` at a broker that answers, and nobody has read one."""
        return time.monotonic() - self._moved > STALL_SECONDS


async def _position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """None while the consumer does not know where it stands."""
    try:
        async with asyncio.timeout(POSITION_SECONDS):
            position: int = await consumer.position(partition)
            return position
    except TimeoutError:
        return None
