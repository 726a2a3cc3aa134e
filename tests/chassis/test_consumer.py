"""Events take effect exactly once and in order, and no record blocks a partition."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import dead_letters, inbox, metrics
from chassis import runner as runner_module
from chassis.consumer import Consumer
from chassis.db import Database
from chassis.relay import Relay
from chassis.runner import ConsumerRunner
from contracts.crm import CustomerChanged
from contracts.envelope import Event
from contracts.topics import TOPICS, dead_letter_topic
from deploy.platform.databases import DatabaseUrls
from deploy.platform.kafka import KafkaCluster
from tests.chassis import probe
from tests.chassis.probe import changed, new_customers, produce, record_of, running, tally
from tests.harness import Kafka, eventually


async def dead(kafka: Kafka, group: str = "crm") -> list[dead_letters.DeadLetter]:
    return [letter async for letter in dead_letters.read(group, kafka.bootstrap_servers)]


@pytest.fixture
def tallies(group: str, monkeypatch: pytest.MonkeyPatch) -> Consumer:
    """Its dead letters go to the topic of crm, which exists."""
    monkeypatch.setattr(dead_letters, "dead_letter_topic", lambda _: dead_letter_topic("crm"))
    return probe.consumer(group)


async def test_the_same_event_twice_takes_effect_once(
    db: Database, kafka: Kafka, settings: probe.Settings, tallies: Consumer
) -> None:
    customer = uuid4()
    once, twice = record_of(changed(customer, "once")), record_of(changed(customer, "twice"))
    await produce(kafka, [twice, once, twice, twice])
    async with running(ConsumerRunner(tallies, db, settings).run()):
        await eventually(lambda: tally(db, customer))
        await produce(kafka, [twice, record_of(changed(customer, "end"))])
        await eventually(lambda: _has(db, customer, "end"))
    assert await tally(db, customer) == ["twice", "once", "end"]


async def test_control_without_the_inbox_an_event_takes_effect_twice(
    db: Database, kafka: Kafka, settings: probe.Settings, tallies: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(set):  # type: ignore[type-arg]
        def discard(self, _: object) -> None:
            """Remembers nothing."""

    async def forget(session: object, consumer: str, ids: list[object]) -> Forgetful:
        return Forgetful(ids)

    monkeypatch.setattr(inbox, "record", forget)
    customer = uuid4()
    await produce(kafka, [record_of(changed(customer, "twice"))] * 2)
    async with running(ConsumerRunner(tallies, db, settings).run()):
        assert await eventually(lambda: _has(db, customer, "twice", times=2))


async def test_a_consumer_killed_between_commit_and_offsets_repeats_nothing(
    db: Database, kafka: Kafka, urls: DatabaseUrls, settings: probe.Settings, group: str
) -> None:
    customer = uuid4()
    await produce(kafka, [record_of(changed(customer, str(n))) for n in range(20)])
    killed = await probe.run_process("consumer", group, urls, kafka, crash="before offsets")
    assert await asyncio.wait_for(killed.wait(), 30) == 9
    await produce(kafka, [record_of(changed(customer, "end"))])
    async with running(ConsumerRunner(probe.consumer(group), db, settings).run()):
        await eventually(lambda: _has(db, customer, "end"), timeout=40)
    assert await tally(db, customer) == [*(str(n) for n in range(20)), "end"]


async def test_events_of_a_key_stay_in_order_while_a_replica_joins_and_leaves(
    db: Database, kafka: Kafka, settings: probe.Settings, group: str
) -> None:
    customers = new_customers(20)
    staying, visiting = (ConsumerRunner(probe.consumer(group), db, settings) for _ in range(2))
    async with running(Relay(db, kafka.bootstrap_servers, "probe").run()), running(staying.run()):
        for n in range(10):
            await probe.publish(db, [changed(customer, str(n)) for customer in customers])
            if n == 2:
                visit = asyncio.create_task(visiting.run())
                await eventually(lambda: visiting.ready, timeout=30)
            if n == 6:
                visit.cancel()
        for customer in customers:
            await eventually(partial(_has, db, customer, "9"), timeout=40)
            assert await tally(db, customer) == [str(n) for n in range(10)]


async def test_bad_records_in_a_batch_of_500_do_not_block_it(
    db: Database, kafka: Kafka, settings: probe.Settings, tallies: Consumer
) -> None:
    customer = uuid4()
    records = [record_of(changed(customer, str(n))) for n in range(500)]
    strange = {name: record_of(changed(customer, name)) for name in ("null header", "bytes header")}
    strange["null header"]["headers"] += [("x-null", None)]
    strange["bytes header"]["headers"] += [("x-bytes", b"\xff\xfe")]
    unknown = record_of(changed(uuid4(), "unknown"))
    unknown["headers"] = [(k, b"crm.customer.beamed.v1" if k == "ce_type" else v) for k, v in unknown["headers"]]
    foreign = record_of(changed(customer, "foreign"))
    foreign["headers"] = [(k, b"elsewhere.thing.done.v1" if k == "ce_type" else v) for k, v in foreign["headers"]]
    key = records[0]["key"]
    bad = [
        {"key": key, "value": b"{", "headers": record_of(changed(customer, "x"))["headers"]},
        {"key": key, "value": b"no event at all", "headers": []},
        {"key": key, "value": None, "headers": record_of(changed(customer, "x"))["headers"]},
        record_of(changed(customer, "permanent")),
        record_of(changed(customer, "bug")),
    ]
    await produce(kafka, [*records[:250], *strange.values(), unknown, foreign, *bad, *records[250:]])
    async with running(ConsumerRunner(tallies, db, settings).run()):
        await eventually(lambda: _has(db, customer, "499"), timeout=60)
        letters = await eventually(lambda: _letters(kafka, customer, len(bad)))
    names = await tally(db, customer)
    assert names == [*(str(n) for n in range(250)), *strange, *(str(n) for n in range(250, 500))]
    assert len(letters) == len(bad)
    reasons = " ".join(letter.reason for letter in letters)
    assert "ce_type is missing" in reasons
    assert "refused for ever" in reasons
    assert "a mistake of ours" in reasons
    assert {letter.value for letter in letters} == {record["value"] for record in bad}


async def test_a_database_that_goes_while_a_batch_is_split_makes_no_dead_letters(
    db: Database, kafka: Kafka, settings: probe.Settings, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad record splits the batch; then the connection breaks under a good one, more often than it would be tried
    alone."""
    monkeypatch.setattr(dead_letters, "dead_letter_topic", lambda _: dead_letter_topic("crm"))
    customer, outages = uuid4(), [8]
    unlucky = Consumer(group)

    @unlucky.on(CustomerChanged)
    async def append(session: AsyncSession, event: Event[CustomerChanged]) -> None:
        if event.data.name == "bug":
            raise RuntimeError("a mistake of ours")
        if event.data.name == "good" and "first" in await tally(db, customer) and outages[0]:
            outages[0] -= 1
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        await _append(session, event)

    names = ["first", "good", "bug", "last"]
    await produce(kafka, [record_of(changed(customer, name)) for name in names])
    async with running(ConsumerRunner(unlucky, db, settings).run()):
        await eventually(lambda: _has(db, customer, "last"), timeout=60)
        letters = await eventually(lambda: _letters(kafka, customer, 1))
    assert outages == [0], "the premise"
    assert await tally(db, customer) == ["first", "good", "last"]
    assert ["a mistake of ours" in letter.reason for letter in letters] == [True]


async def test_the_place_that_is_kept_is_behind_the_last_record(
    db: Database, kafka: Kafka, settings: probe.Settings, group: str
) -> None:
    """Otherwise every start begins with a record that was handled, and a lag of one stays for ever."""
    customers = new_customers(12)
    await produce(kafka, [record_of(changed(customer, "1")) for customer in customers])

    async def left() -> dict[TopicPartition, int]:
        kept = {partition: await place.committed(partition) or 0 for partition in place.assignment()}
        ends = await place.end_offsets(list(kept))
        return {partition: end - kept[partition] for partition, end in ends.items() if end != kept[partition]}

    place = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False)
    await place.start()
    try:
        topic = next(topic for topic in TOPICS if topic.name == probe.TOPIC)
        place.assign([TopicPartition(topic.name, number) for number in range(topic.partitions)])
        assert await left(), "the premise"
        async with running(ConsumerRunner(probe.consumer(group), db, settings).run()):

            async def caught_up() -> bool:
                assert await left() == {}
                return True

            await eventually(caught_up, timeout=40)
    finally:
        await place.stop()
    for customer in customers:
        assert await tally(db, customer) == ["1"]


async def test_a_dead_letter_can_be_replayed_once_the_cause_is_mended(
    db: Database, kafka: Kafka, settings: probe.Settings, tallies: Consumer, group: str
) -> None:
    customer = uuid4()
    await produce(kafka, [record_of(changed(customer, "bug")), record_of(changed(customer, "fine"))])
    async with running(ConsumerRunner(tallies, db, settings).run()):
        (letter,) = await eventually(lambda: _letters(kafka, customer, 1))
        await eventually(lambda: _has(db, customer, "fine"))
    mended = Consumer(group)
    mended.handlers = {CustomerChanged.event_type: _append}
    assert await dead_letters.replay([letter, letter], kafka.bootstrap_servers) == 1
    assert await dead_letters.replay([letter], kafka.bootstrap_servers, again=True) == 1
    async with running(ConsumerRunner(mended, db, settings).run()):
        await eventually(lambda: _has(db, customer, "bug"), timeout=30)
    assert await tally(db, customer) == ["fine", "bug"]


async def test_what_was_replayed_is_not_replayed_again(
    db: Database, kafka: Kafka, settings: probe.Settings, tallies: Consumer
) -> None:
    customer = uuid4()
    record = record_of(changed(customer, "bug"))
    record["headers"] += [("x-null", None)]
    await produce(kafka, [record])
    async with running(ConsumerRunner(tallies, db, settings).run()):
        (letter,) = await eventually(lambda: _letters(kafka, customer, 1))
        assert ("x-null", None) in letter.headers, "kept whole"
        assert not letter.replayed
        assert await dead_letters.replay([letter], kafka.bootstrap_servers) == 1
        letters = await eventually(lambda: _letters(kafka, customer, 2))
    assert [letter.replayed for letter in letters] == [True, False], "it failed again: a new letter"
    assert await dead_letters.replay(letters[:1], kafka.bootstrap_servers) == 0


def test_ids_are_remembered_longer_than_letters_can_be_replayed(tmp_path: Path) -> None:
    letters = dead_letter_topic("crm").retention
    assert letters is not None
    assert timedelta(days=probe.Settings().inbox_days) >= letters + timedelta(days=1)
    with pytest.raises(ValueError, match="31"):
        probe.Settings(inbox_days=letters.days)
    broker = KafkaCluster(tmp_path, [9092], [9093], jars=tmp_path, log=tmp_path / "log").brokers[0]
    assert timedelta(minutes=int(broker.properties()["offsets.retention.minutes"])) > timedelta(days=365)


async def test_too_many_dead_letters_stop_the_consumer_with_the_records_kept(
    db: Database, kafka: Kafka, urls: DatabaseUrls, tallies: Consumer
) -> None:
    customer = uuid4()
    await produce(kafka, [record_of(changed(customer, "bug")) for _ in range(8)])
    runner = ConsumerRunner(tallies, db, probe.settings_for(urls, kafka, kafka_dead_letter_limit=3))
    async with running(runner.run()):
        await eventually(lambda: runner.stopped)
        assert not runner.ready
        assert len([letter for letter in await dead(kafka) if letter.key == str(customer).encode()]) <= 3
        await produce(kafka, [record_of(changed(customer, "later"))])
        # It has reached the consumer, which does not look at it: who goes on would have read and handled it.
        await eventually(lambda: _unread(runner))
        assert await _unread(runner)
    assert await tally(db, customer) == []


async def test_an_operator_lets_a_stopped_consumer_go_on_in_all_replicas(
    db: Database, kafka: Kafka, urls: DatabaseUrls, tallies: Consumer, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the limit have come at once, so a restart alone would stop it again."""
    monkeypatch.setattr(runner_module, "RESUMED_SECONDS", 0.1)
    settings = probe.settings_for(urls, kafka, kafka_dead_letter_limit=3)
    customer, others = uuid4(), new_customers(1)
    await produce(kafka, [record_of(changed(customer, "bug")) for _ in range(8)])
    await produce(kafka, [record_of(changed(customer, "fine"))])
    runner = ConsumerRunner(tallies, db, settings)
    async with running(runner.run()):
        await eventually(lambda: runner.stopped, timeout=60)
        await dead_letters.resume(urls.worker, group, 4)
        await eventually(lambda: not runner.stopped, timeout=60)
        assert runner.ready
        assert metrics.CONSUMER_STOPPED._value.get() == 0
        assert len(await eventually(lambda: _letters(kafka, customer, 8), timeout=60)) == 8, "each once"
        assert await _has(db, customer, "fine")
        # The word counts for an hour and for a number: not for ever, and not for whatever may come.
        await produce(kafka, [record_of(changed(customer, "bug")) for _ in range(8)])
        await eventually(lambda: runner.stopped, timeout=60)
    latecomer = ConsumerRunner(tallies, db, settings)
    async with running(latecomer.run()):
        await produce(kafka, [record_of(changed(others[0], "heard"))])
        await eventually(lambda: _has(db, others[0], "heard"), timeout=60)


async def test_a_word_of_yesterday_lets_nobody_go_on(db: Database, urls: DatabaseUrls, group: str) -> None:
    letters = dead_letters.DeadLetters(group, "127.0.0.1:1", 3)
    await dead_letters.resume(urls.worker, group, 10)
    async with db.as_worker() as session:
        await session.execute(text("UPDATE resumption SET resumed_at = now() - interval '61 minutes'"))
    assert not await letters.resumed(db, 5)
    await dead_letters.resume(urls.worker, group, 10)
    assert letters.would_exceed_limit(13)
    assert await letters.resumed(db, 5)
    assert not letters.would_exceed_limit(13)
    assert letters.would_exceed_limit(14)
    assert not await letters.resumed(db, 5), "a word is followed once"


async def _unread(runner: ConsumerRunner) -> bool:
    """Whether Kafka has told the consumer of records that it has not taken."""
    consumer = runner._kafka
    assert consumer is not None
    for partition in consumer.assignment():
        end = consumer.highwater(partition)
        if end is not None and end > await consumer.position(partition):
            return True
    return False


async def _append(session: object, event: object) -> None:
    await session.execute(  # type: ignore[attr-defined]
        probe.APPEND,
        {
            "customer": event.data.customer_id,  # type: ignore[attr-defined]
            "organisation": event.organisation,  # type: ignore[attr-defined]
            "name": event.data.name,  # type: ignore[attr-defined]
        },
    )


async def _has(db: Database, customer: object, name: str, times: int = 1) -> bool:
    return (await tally(db, customer)).count(name) >= times  # type: ignore[arg-type]


async def _letters(kafka: Kafka, customer: UUID, count: int) -> list[dead_letters.DeadLetter]:
    """The dead letters about a customer, once there are as many as expected."""
    letters = [letter for letter in await dead(kafka) if letter.key == str(customer).encode()]
    return letters if len(letters) >= count else []
