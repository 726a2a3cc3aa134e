"""What becomes of a batch that fails, and of its offsets."""

from __future__ import annotations

from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Consumer
from chassis.db import Database
from chassis.handling import Handling
from chassis.outbox import new_event
from chassis.runner import ConsumerRunner
from contracts.crm import CustomerChanged
from contracts.envelope import Event
from tests.chassis import probe
from tests.chassis.probe import ORGANISATION, changed, produce, record_of, running, tally
from tests.harness import Kafka, eventually


async def test_a_database_that_goes_away_while_a_batch_is_split_makes_no_good_event_a_bad_one(
    db: Database, group: str
) -> None:
    consumer, away = Consumer(group), [False]

    @consumer.on(CustomerChanged)
    async def handle(_: AsyncSession, event: Event[CustomerChanged]) -> None:
        if event.data.name == "bug":
            away[0] = True
            raise RuntimeError("a mistake")
        if away[0]:
            raise ConnectionRefusedError("the database is away")

    events = [
        (name, new_event(changed(uuid4(), name), organisation=ORGANISATION)) for name in ("good", "bug", "better")
    ]
    handling = Handling(consumer, db, SecretStr("e" * 32))
    with pytest.raises(ConnectionRefusedError):
        await handling.apply(events)

    async def back(_: AsyncSession, event: Event[CustomerChanged]) -> None:
        if event.data.name == "bug":
            raise RuntimeError("a mistake")

    consumer.handlers[CustomerChanged.event_type] = back
    assert await handling.apply(events) == [("bug", "RuntimeError: a mistake")]


async def test_what_was_handled_is_not_read_again(
    db: Database, kafka: Kafka, settings: probe.Settings, group: str
) -> None:
    customer = uuid4()
    reader = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False)
    await reader.start()
    try:
        async with running(ConsumerRunner(probe.consumer(group), db, settings).run()):
            await produce(kafka, [record_of(changed(customer, str(n))) for n in range(3)])
            await eventually(lambda: _has(db, customer, 3), timeout=60)
            partitions = [TopicPartition(probe.TOPIC, n) for n in reader.partitions_for_topic(probe.TOPIC) or range(12)]

            async def at_the_end() -> bool:
                ends = await reader.end_offsets(partitions)
                return {p: await reader.committed(p) for p in partitions} == ends

            await eventually(at_the_end, timeout=60)
    finally:
        await reader.stop()


async def _has(db: Database, customer: object, number: int) -> bool:
    return len(await tally(db, customer)) == number  # type: ignore[arg-type]
