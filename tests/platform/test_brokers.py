"""Three brokers, and the way from one to three."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from contracts.topics import Topic
from deploy.platform import topics
from deploy.platform.kafka import KafkaCluster
from deploy.platform.processes import StartFailed, free_ports
from tests.harness import JARS

ONE = [Topic("orders.order", producer="orders", partitions=2)]


def cluster(folder: Path, brokers: int) -> KafkaCluster:
    ports = free_ports(2 * brokers)
    return KafkaCluster(folder / "kafka", ports[:brokers], ports[brokers:], jars=JARS, log=folder / "kafka.log")


async def send(bootstrap_servers: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait("orders.order", value, partition=0)
    await producer.stop()


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
    finally:
        three.stop(grace=3)
    with pytest.raises(StartFailed, match="spread over 3 brokers"):
        cluster(own_folder, 1).start()
