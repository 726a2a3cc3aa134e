"""A consumer that aiokafka has left half dead is made anew, and nothing that waited for it is lost."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError

from chassis import lag, runner
from chassis.db import Database
from chassis.runner import ConsumerRunner
from tests.chassis import probe
from tests.chassis.probe import changed, produce, record_of, running, tally
from tests.harness import Kafka, eventually


def fails_once(monkeypatch: pytest.MonkeyPatch, method: str) -> list[str]:
    """The broker's next answer to the coordinator is one that aiokafka does not know. Returns what has failed."""
    real = getattr(GroupCoordinator, method)
    failed: list[str] = []

    async def once(self: GroupCoordinator, *arguments: Any) -> Any:
        if not failed:
            failed.append(method)
            raise KafkaError("an error code that is not expected here")
        return await real(self, *arguments)

    monkeypatch.setattr(GroupCoordinator, method, once)
    return failed


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked often whether the consumer moves, and soon said that it does not."""
    monkeypatch.setattr(lag, "STALL_SECONDS", 1.0)
    monkeypatch.setattr(runner, "MEASURE_SECONDS", 0.2)


async def hears_what_waits(db: Database, kafka: Kafka, settings: probe.Settings, group: str) -> None:
    customer = uuid4()
    await produce(kafka, [record_of(changed(customer, "waits"))])
    async with running(ConsumerRunner(probe.consumer(group), db, settings).run()):
        await eventually(lambda: tally(db, customer), timeout=40)
    assert await tally(db, customer) == ["waits"]


@pytest.mark.parametrize("method", ["_do_fetch_commit_offsets", "_do_heartbeat"])
async def test_an_unexpected_answer_does_not_end_it(
    method: str, db: Database, kafka: Kafka, settings: probe.Settings, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one to the question for offsets while other brokers take over: the task that asked ends with it."""
    failed = fails_once(monkeypatch, method)
    customer = uuid4()
    async with running(ConsumerRunner(probe.consumer(group), db, settings).run()):
        await eventually(lambda: failed, timeout=30)
        await produce(kafka, [record_of(changed(customer, "after"))])
        await eventually(lambda: tally(db, customer), timeout=30)
    assert await tally(db, customer) == ["after"]


@pytest.mark.usefixtures("impatient")
async def test_a_consumer_that_reads_nothing_and_says_nothing_is_made_anew(
    db: Database, kafka: Kafka, settings: probe.Settings, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = AIOKafkaConsumer.getmany
    deaf: list[object] = []

    async def first_is_deaf(self: Any, **more: Any) -> Any:
        if not deaf:
            deaf.append(self)
        if self is deaf[0]:
            await asyncio.sleep(0.05)
            return {}
        return await real(self, **more)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", first_is_deaf)
    await hears_what_waits(db, kafka, settings, group)


@pytest.mark.usefixtures("impatient")
async def test_a_consumer_that_never_learns_where_it_stands_is_made_anew(
    db: Database, kafka: Kafka, settings: probe.Settings, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = GroupCoordinator._do_fetch_commit_offsets
    asked: list[object] = []

    async def first_hears_nothing(self: GroupCoordinator, partitions: Any) -> Any:
        asked.append(self)
        if self is asked[0]:
            await asyncio.sleep(3600)
        return await real(self, partitions)

    monkeypatch.setattr(GroupCoordinator, "_do_fetch_commit_offsets", first_hears_nothing)
    await hears_what_waits(db, kafka, settings, group)


@pytest.mark.usefixtures("impatient")
async def test_one_that_is_busy_or_has_nothing_to_do_is_left_alone(
    db: Database, kafka: Kafka, settings: probe.Settings, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    real = AIOKafkaConsumer.start

    async def start(self: Any) -> None:
        made.append(self)
        await real(self)

    monkeypatch.setattr(AIOKafkaConsumer, "start", start)
    customer = uuid4()
    tallies, going_on = probe.consumer(group), asyncio.Event()
    append = tallies.handlers[changed(customer, "").event_type]

    async def slowly(*arguments: Any) -> None:
        await going_on.wait()
        await append(*arguments)

    tallies.handlers[changed(customer, "").event_type] = slowly
    measured: list[bool] = []
    measure = lag.Lag.measure

    async def counted(self: lag.Lag, consumer: AIOKafkaConsumer, busy: bool) -> None:
        await measure(self, consumer, busy)
        measured.append(busy)

    monkeypatch.setattr(lag.Lag, "measure", counted)
    async with running(ConsumerRunner(tallies, db, settings).run()):
        await eventually(lambda: len(measured) > 8)
        await produce(kafka, [record_of(changed(customer, "first"))])
        await eventually(lambda: measured.count(True) > 8)
        await produce(kafka, [record_of(changed(customer, "second"))])
        going_on.set()
        await eventually(lambda: _has(db, customer, 2))
    assert len(made) == 1


async def _has(db: Database, customer: Any, names: int) -> bool:
    return len(await tally(db, customer)) == names
