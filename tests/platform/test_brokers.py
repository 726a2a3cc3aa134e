"""Three brokers, and the way from one to three."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from contracts.topics import Topic
from deploy.platform import topics
from deploy.platform.kafka import KafkaCluster
from deploy.platform.processes import StartFailed, free_ports
from tests.harness import JARS, eventually

ONE = [Topic("orders.order", producer="orders", partitions=2)]


def cluster(folder: Path, brokers: int) -> KafkaCluster:
    ports = free_ports(2 * brokers)
    return KafkaCluster(folder / "kafka", ports[:brokers], ports[brokers:], jars=JARS, log=folder / "kafka.log")


async def send(bootstrap_servers: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait("orders.order", value, partition=0)
    await producer.stop()


async def _makes_no_thin_topic(bootstrap_servers: str) -> None:
    """While one of three brokers is away."""
    fresh = [Topic("orders.payment", producer="orders", partitions=1)]

    async def replicas() -> list[int]:
        async with topics.administration(bootstrap_servers) as client:
            seen = await topics.metadata(client)
        return [
            len(seen.brokers),
            *(len(seen.topics[t.name].partitions[0].replicas) for t in fresh if t.name in seen.topics),
        ]

    await eventually(lambda: _is(replicas, [2]), timeout=60)
    with pytest.raises(topics.TooFewBrokers, match="2 brokers answer and topics should have 3"):
        await topics.apply(bootstrap_servers, fresh)
    assert await replicas() == [2]
    assert (await topics.apply(bootstrap_servers, fresh, replication=2)).created == ["orders.payment"]
    await eventually(lambda: _is(replicas, [2, 2]))


async def _is(ask: Callable[[], Awaitable[list[int]]], wanted: list[int]) -> bool:
    return await ask() == wanted


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_one_grows_to_three_which_outlive_any_of_them(own_folder: Path):
    alone = cluster(own_folder, 1)
    alone.start()
    try:
        await topics.apply(alone.bootstrap_servers, ONE)
        await send(alone.bootstrap_servers, b"before")
    finally:
        alone.stop()
    three = cluster(own_folder, 3)
    three.start()
    try:
        assert await topics.spread(three) >= 1
        assert (await topics.apply(three.bootstrap_servers, ONE)).corrected == ["orders.order"]  # two in sync now
        three.kill(1)
        await send(three.bootstrap_servers, b"after")
        consumer = AIOKafkaConsumer(
            "orders.order", bootstrap_servers=three.bootstrap_servers, auto_offset_reset="earliest"
        )
        await consumer.start()
        assert [(await consumer.getone()).value for _ in range(2)] == [b"before", b"after"]
        await consumer.stop()
        await _makes_no_thin_topic(three.bootstrap_servers)
    finally:
        three.stop(grace=3)
    with pytest.raises(StartFailed, match="spread over 3 brokers"):
        cluster(own_folder, 1).start()
