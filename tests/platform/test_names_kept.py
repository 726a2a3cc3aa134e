"""Kafka keeps no record with a name longer than `contracts/topics.py` says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from contracts.topics import NAMES, TOPICS
from deploy.platform import topics
from deploy.platform.kafka import Broker
from tests.harness import Kafka, eventually, kafka_cluster

ORDERS = next(topic for topic in TOPICS if topic.name == "orders.order")


@pytest.fixture
def hasty(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kafka]:
    """A Kafka that looks every second for what is too old; others look every five minutes."""
    usual = Broker.properties
    hasty = {"log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "100"}
    monkeypatch.setattr(Broker, "properties", lambda broker: usual(broker) | hasty)
    with kafka_cluster(own_folder, light=True) as cluster:
        yield cluster


async def test_a_record_with_a_name_is_gone_after_four_hundred_days(hasty: Kafka) -> None:
    await topics.apply(hasty.bootstrap_servers, [ORDERS])
    now = datetime.now(UTC)
    for partition, ages in enumerate(((401, 395, 1), (401,), (390, 1))):
        await told(hasty, partition, [now - timedelta(days=age) for age in ages])

    async def kept() -> bool:
        found = [[(now - at).days for at in await records(hasty, partition)] for partition in range(3)]
        assert found == [[1], [], [390, 1]]
        return True

    assert timedelta(days=400) == NAMES
    await eventually(kept, timeout=60)


async def told(kafka: Kafka, partition: int, moments: list[datetime]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    try:
        for at in moments:
            stamp = int(at.timestamp() * 1000)
            await producer.send_and_wait(ORDERS.name, b"Olena", partition=partition, timestamp_ms=stamp)
    finally:
        await producer.stop()


async def records(kafka: Kafka, partition: int) -> list[datetime]:
    """When the records that can be read were told."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        where = TopicPartition(ORDERS.name, partition)
        consumer.assign([where])
        end = (await consumer.end_offsets([where]))[where]
        found = []
        while await consumer.position(where) < end:
            found += (await consumer.getmany(where, timeout_ms=500)).get(where, [])
        return [datetime.fromtimestamp(one.timestamp / 1000, UTC) for one in found]
    finally:
        await consumer.stop()
