"""A probe database on the shared servers, and the settings that reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis import logging
from chassis.db import Database
from contracts.topics import TOPICS
from deploy.platform.databases import DatabaseUrls
from tests.chassis import probe
from tests.harness import Kafka, Postgres


@pytest.fixture
async def urls(postgres: Postgres) -> AsyncIterator[DatabaseUrls]:
    made = await probe.create_database(postgres)
    yield made
    await postgres.drop_database(made)


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    logging.configure(probe.Settings(log_format="console", log_level="WARNING"))


@pytest.fixture
def settings(urls: DatabaseUrls, kafka: Kafka) -> probe.Settings:
    return probe.settings_for(urls, kafka)


@pytest.fixture
async def db(settings: probe.Settings) -> AsyncIterator[Database]:
    async with probe.database(settings) as database:
        yield database


@pytest.fixture
async def group(kafka: Kafka) -> str:
    """A consumer group of its own that starts at the topic's present end: it sees what its test writes, no more."""
    name = f"probe-{uuid4().hex[:8]}"
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, group_id=name, enable_auto_commit=False)
    await consumer.start()
    topic = next(topic for topic in TOPICS if topic.name == probe.TOPIC)
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    consumer.assign(partitions)
    await consumer.commit(await consumer.end_offsets(partitions))
    await consumer.stop()
    return name
