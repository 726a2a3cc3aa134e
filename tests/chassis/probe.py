"""A service with one table, to show the chassis' guarantees: every event appends its name to its customer's tally."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import migrations, outbox, relay, sending
from chassis.consumer import Consumer
from chassis.db import Database
from chassis.errors import Permanent
from chassis.postgres import engine as engine_of
from chassis.runner import ConsumerRunner
from chassis.settings import ServiceSettings
from contracts.crm import CustomerChanged
from contracts.envelope import Event, decode
from deploy.platform.databases import DatabaseUrls
from tests.harness import Kafka, Postgres

ORGANISATION = UUID("00000000-0000-7000-8000-000000000001")
OTHER_ORGANISATION = UUID("00000000-0000-7000-8000-000000000002")
TOPIC = CustomerChanged.topic

APPEND = text("""
    INSERT INTO tally (customer, organisation, names) VALUES (:customer, :organisation, ARRAY[:name])
    ON CONFLICT (customer) DO UPDATE SET names = tally.names || excluded.names
""")


class Settings(ServiceSettings):
    service: ClassVar[str] = "probe"


def settings_for(urls: DatabaseUrls, kafka: Kafka | None = None, **more: Any) -> Settings:
    return Settings(
        database_url=urls.owner,
        database_api_url=urls.api,
        database_worker_url=urls.worker,
        kafka_bootstrap_servers=kafka.bootstrap_servers if kafka else "127.0.0.1:1",
        log_level="WARNING",
        **more,
    )


async def create_database(postgres: Postgres) -> DatabaseUrls:
    urls = await postgres.create_database("probe")
    engine = engine_of(urls.owner)

    def create(connection: Connection) -> None:
        op = Operations(MigrationContext.configure(connection))
        migrations.create_chassis_tables(op)
        op.execute("CREATE TABLE tally (customer uuid PRIMARY KEY, organisation uuid NOT NULL, names text[] NOT NULL)")
        migrations.protect(op, "tally", service="probe")
        migrations.wall_off(connection, "probe")

    async with engine.begin() as connection:
        await connection.run_sync(create)
    await engine.dispose()
    return urls


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Database]:
    db = Database(settings)
    try:
        yield db
    finally:
        await db.close()


def relay_of(db: Database, settings: ServiceSettings) -> relay.Relay:
    return relay.Relay(db, settings.kafka_bootstrap_servers, "probe-relay", lease_seconds=settings.leader_lease_seconds)


def changed(customer: UUID, name: str) -> CustomerChanged:
    return CustomerChanged(customer_id=customer, name=name, emails=(), phones=())


async def publish(db: Database, events: Iterable[CustomerChanged]) -> None:
    """Adds events in one transaction."""
    async with db.as_worker() as session:
        for event in events:
            outbox.add(session, event, organisation=ORGANISATION)


def consumer(group: str) -> Consumer:
    """Appends; refuses names that say so."""
    tallies = Consumer(group)

    @tallies.on(CustomerChanged)
    async def append(session: AsyncSession, event: Event[CustomerChanged]) -> None:
        if event.data.name == "permanent":
            raise Permanent("refused for ever")
        if event.data.name == "bug":
            raise RuntimeError("a mistake of ours")
        await session.execute(
            APPEND,
            {"customer": event.data.customer_id, "organisation": event.organisation, "name": event.data.name},
        )

    return tallies


async def tally(db: Database, customer: UUID) -> list[str]:
    async with db.as_worker() as session:
        return list(await session.scalar(text("SELECT names FROM tally WHERE customer = :id"), {"id": customer}) or [])


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def produce(kafka: Kafka, records: Iterable[dict[str, Any]], topic: str = TOPIC) -> None:
    """Writes records as a careless partner might: whatever key, value and headers."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    try:
        for sent in [await producer.send(topic, **record) for record in records]:
            await sent
    finally:
        await producer.stop()


def record_of(event: CustomerChanged) -> dict[str, Any]:
    envelope = outbox.new_event(event, organisation=ORGANISATION)
    return {"key": envelope.key, "value": envelope.data.to_json(), "headers": envelope.headers()}


async def names_on_topic(kafka: Kafka, customers: set[UUID], topic: str = TOPIC) -> dict[UUID, list[str]]:
    """Names per customer in the order of the topic's records, up to now."""
    found: dict[UUID, list[str]] = {customer: [] for customer in customers}
    # Not seek_to_beginning: the reset to the end that `assign` begins could overtake it.
    reader = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        partitions = [TopicPartition(topic, number) for number in (reader.partitions_for_topic(topic) or ())]
        if not partitions:
            await reader._client.force_metadata_update()
            partitions = [TopicPartition(topic, n) for n in reader._client.cluster.partitions_for_topic(topic) or ()]
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        while any([await reader.position(partition) < end for partition, end in ends.items()]):
            for records in (await reader.getmany(timeout_ms=500)).values():
                for record in records:
                    customer = UUID(record.key.decode()) if record.key and len(record.key) == 36 else None
                    if customer in found:
                        event = decode(record.headers, record.value)
                        assert isinstance(event.data, CustomerChanged)
                        found[customer].append(event.data.name)
    finally:
        await reader.stop()
    return found


async def run_process(role: str, group: str, urls: DatabaseUrls, kafka: Kafka, crash: str = "", **more: str) -> Any:
    """The relay or the consumer as a process of its own, which dies or freezes at a named point if told so."""
    environment = {
        **os.environ,
        **urls.environment(),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "PROBE_CRASH": crash,
        **more,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chassis.probe", role, group, env=environment
    )


async def _main(role: str, group: str) -> None:
    settings = Settings()
    crash = os.environ["PROBE_CRASH"]
    async with database(settings) as db:
        if role == "relay":
            publisher = relay_of(db, settings)
            if crash == "after send":
                publisher._settle = _die_when_sent  # type: ignore[method-assign]
            if crash.startswith("before send"):
                relay.send_rows = _freeze_once  # type: ignore[attr-defined]
            if crash.endswith("unfenced"):
                publisher._client_id = "another-name"
            await publisher.run()
        else:
            runner = ConsumerRunner(consumer(group), db, settings)
            if crash == "before offsets":
                runner._commit = _die  # type: ignore[method-assign]
            await runner.run()


async def _freeze_once(*arguments: Any) -> Any:
    relay.send_rows = sending.send_rows  # type: ignore[attr-defined]
    os.kill(os.getpid(), signal.SIGSTOP)
    return await sending.send_rows(*arguments)


async def _die_when_sent(_: Any, batch: Any) -> None:
    await asyncio.gather(*(send.acknowledged for send in batch.sends))
    os._exit(9)


async def _die(_: Any) -> None:
    os._exit(9)


def new_customers(count: int) -> list[UUID]:
    return [uuid4() for _ in range(count)]


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
