"""A release in which producers and consumers are of different versions loses no event, and keeps the order of a key.

The old version is a process that does not have the new type; the new one is this process, which does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import dead_letters, metrics, runner
from chassis.consumer import Consumer
from chassis.db import Database
from chassis.runner import ConsumerRunner
from contracts.crm import CustomerState
from contracts.envelope import Event, EventData
from contracts.topics import dead_letter_topic
from deploy.platform.databases import DatabaseUrls
from tests.chassis import probe
from tests.chassis.probe import changed, produce, record_of, running, tally
from tests.harness import Kafka
from tests.harness import eventually as soon

NEW = "crm.customer.praised.v1"

eventually = partial(soon, timeout=90)
"""Processes start here, beside busy neighbours."""


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MEASURE_SECONDS", 0.2)


@pytest.fixture
def praised() -> Iterator[type[EventData]]:
    """A type that this version has added."""

    class Praised(CustomerState, type=NEW):
        """Somebody has said something nice."""

    yield Praised
    del EventData.known[NEW]


def record_of_new(customer: UUID, name: str) -> dict[str, Any]:
    record = record_of(changed(customer, name))
    record["headers"] = [(key, NEW.encode() if key == "ce_type" else value) for key, value in record["headers"]]
    return record


def new_version(group: str, praised: type[EventData]) -> Consumer:
    consumer = probe.consumer(group)

    @consumer.on(praised)
    async def append(session: AsyncSession, event: Event[Any]) -> None:
        if event.data.name == "permanent":
            raise ValueError("a mistake")
        mine = {"customer": event.data.customer_id, "organisation": event.organisation, "name": event.data.name}
        await session.execute(probe.APPEND, mine)

    return consumer


@asynccontextmanager
async def old_version(group: str, urls: DatabaseUrls, kafka: Kafka) -> AsyncIterator[None]:
    child = await probe.run_process("consumer", group, urls, kafka)
    try:
        yield
    finally:
        child.kill()
        await child.wait()


async def parked(db: Database) -> list[str]:
    async with db.as_worker() as session:
        return list(await session.scalars(text("SELECT type FROM parked ORDER BY partition, record_offset")))


async def has(db: Database, customer: UUID, *names: str) -> bool:
    return await tally(db, customer) == list(names)


async def test_events_that_the_last_release_does_not_know_wait_for_this_one(
    db: Database, kafka: Kafka, urls: DatabaseUrls, settings: probe.Settings, group: str, praised: type[EventData]
) -> None:
    one, other = uuid4(), uuid4()
    async with old_version(group, urls, kafka):
        records = [record_of(changed(one, "a")), record_of_new(one, "b"), record_of(changed(one, "c"))]
        await produce(kafka, [*records, record_of(changed(other, "meanwhile"))])
        await eventually(lambda: has(db, other, "meanwhile"))
        await eventually(lambda: has(db, one, "a"))
        await produce(kafka, [record_of(changed(one, "d"))])
        await eventually(lambda: _count(db, 3))
        assert await has(db, one, "a"), "what happened later to the same customer waits behind it"
        async with running(ConsumerRunner(new_version(group, praised), db, settings).run()):
            await eventually(lambda: has(db, one, "a", "b", "c", "d"))
            await eventually(lambda: _count(db, 0))
            await produce(kafka, [record_of_new(one, "e"), record_of(changed(one, "f"))])
            await eventually(lambda: has(db, one, "a", "b", "c", "d", "e", "f"))


async def _count(db: Database, number: int) -> bool:
    return len(await parked(db)) == number


async def test_whoever_takes_over_a_partition_knows_what_waits_in_it(
    db: Database, kafka: Kafka, settings: probe.Settings, group: str
) -> None:
    one = uuid4()
    async with running(ConsumerRunner(probe.consumer(group), db, settings).run()):
        await produce(kafka, [record_of_new(one, "a")])
        await eventually(lambda: _count(db, 1))
        await eventually(lambda: metrics.EVENTS_PARKED._value.get() == 1)
    async with running(ConsumerRunner(probe.consumer(group), db, settings).run()):
        await produce(kafka, [record_of(changed(one, "b"))])
        await eventually(lambda: _count(db, 2))
    assert await tally(db, one) == []


async def test_a_parked_record_that_comes_again_is_parked_once_and_a_bad_one_dies(
    db: Database,
    kafka: Kafka,
    settings: probe.Settings,
    group: str,
    praised: type[EventData],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dead_letters, "dead_letter_topic", lambda _: dead_letter_topic("crm"))
    one = uuid4()
    old = ConsumerRunner(probe.consumer(group), db, settings)
    known = EventData.known.pop(NEW)
    record = record_of_new(one, "permanent")
    record["headers"] += [("x-null", None), ("x-bytes", b"\xff\xfe")]
    async with running(old.run()):
        await produce(kafka, [record, record_of(changed(one, "next"))])
        await eventually(lambda: _count(db, 2))
        (kept, *_) = await old._parking.waiting((probe.TOPIC, str(one).encode()))
        await old._parking.park([(kept, NEW)])
    assert await _count(db, 2)
    assert list(kept.headers) == record["headers"], "whole, as it came"
    EventData.known[NEW] = known
    async with running(ConsumerRunner(new_version(group, praised), db, settings).run()):
        await eventually(lambda: has(db, one, "next"))
    letters = [letter async for letter in dead_letters.read("crm", kafka.bootstrap_servers)]
    (mine,) = [letter for letter in letters if letter.key == str(one).encode()]
    assert "a mistake" in mine.reason
    assert list(mine.headers) == record["headers"]


async def test_what_no_version_will_know_is_given_up_by_an_operator(
    db: Database, kafka: Kafka, settings: probe.Settings, urls: DatabaseUrls, group: str
) -> None:
    one = uuid4()
    async with running(ConsumerRunner(probe.consumer(group), db, settings).run()):
        await produce(kafka, [record_of_new(one, "withdrawn"), record_of(changed(one, "next"))])
        await eventually(lambda: _count(db, 2))
        assert await dead_letters.give_up_parked(urls.worker, group, "crm.customer.changed.v1") == 0, "a known type"
        assert await dead_letters.give_up_parked(urls.worker, group, NEW) == 1
        await eventually(lambda: has(db, one, "next"))
        await eventually(lambda: _count(db, 0))
