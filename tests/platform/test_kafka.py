"""The embedded Kafka and its topics."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from contracts.topics import Topic, all_topics
from deploy.platform import topics
from tests.harness import Kafka, eventually


async def test_all_topics_have_their_partitions(kafka: Kafka):
    found = await topics.partitions(kafka.bootstrap_servers)
    for topic in all_topics():
        assert found[topic.name] == topic.partitions


async def test_applying_again_changes_nothing_and_corrects_a_foreign_hand(kafka: Kafka):
    again = await topics.apply(kafka.bootstrap_servers)
    assert (again.created, again.grown, again.corrected) == ([], [], [])
    async with topics.administration(kafka.bootstrap_servers) as client:
        foreign = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in {"retention.ms": "1000", "max.message.bytes": "2000000"}.items()
        ]
        order = ConfigResource(ResourceType.TOPIC, "orders.order", incremental_configs=foreign)
        await topics.done(client.incremental_alter_configs([order]))
        await eventually(lambda: _corrected(kafka, ["orders.order"]))  # brokers learn of a change a moment later
        await eventually(lambda: _corrected(kafka, []))
        kept = await topics.settings_of(client, [ConfigResource(ResourceType.TOPIC, "orders.order")])
        assert kept["orders.order"]["max.message.bytes"].value == "2000000"  # the table does not name it
        back = ConfigEntry("max.message.bytes", None, incremental_operation=AlterConfigOpType.DELETE)
        order = ConfigResource(ResourceType.TOPIC, "orders.order", incremental_configs=[back])
        await topics.done(client.incremental_alter_configs([order]))


async def test_partitions_are_added_only_when_somebody_says_so(kafka: Kafka):
    name = f"grown.{uuid4().hex}"
    await topics.apply(kafka.bootstrap_servers, [Topic(name, producer="test", partitions=1)])
    larger = [Topic(name, producer="test", partitions=3)]
    with pytest.raises(topics.TooFewPartitions, match=name):
        await topics.apply(kafka.bootstrap_servers, larger)
    assert (await topics.partitions(kafka.bootstrap_servers))[name] == 1
    assert (await topics.apply(kafka.bootstrap_servers, larger, grow=True)).grown == [name]


async def _corrected(kafka: Kafka, names: list[str]) -> bool:
    return (await topics.apply(kafka.bootstrap_servers)).corrected == names


async def test_records_survive_a_crash_of_the_broker(own_kafka: Kafka):
    producer = AIOKafkaProducer(bootstrap_servers=own_kafka.bootstrap_servers, acks="all")
    await producer.start()
    await producer.send_and_wait("orders.order", b"kept")
    await producer.stop()
    own_kafka.kill()
    own_kafka.start()
    consumer = AIOKafkaConsumer(
        "orders.order", bootstrap_servers=own_kafka.bootstrap_servers, auto_offset_reset="earliest", group_id="test"
    )
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    assert record.value == b"kept"


async def test_brokers_that_forget_a_group_too_soon_are_told_of(kafka: Kafka, monkeypatch: pytest.MonkeyPatch):
    assert await topics.doubts(kafka.bootstrap_servers) == []
    monkeypatch.setattr(topics, "OFFSETS_KEPT", timedelta(days=36_500))
    (doubt,) = await topics.doubts(kafka.bootstrap_servers)
    assert "offsets.retention.minutes is 5256000" in doubt
    assert "3650 days" in doubt
