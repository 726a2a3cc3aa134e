"""`python -m services.reporting.rebuild`: builds the read models anew from the topics, while the service keeps running.

The rows are built in a schema of their own. When they have nearly caught up, batches and reports of the service wait
for a moment: the rest of the topics is read to their end, which is beyond anything the service has handled, the
tables take the place of the old ones, and all is one commit. Whenever it is stopped before, nothing has changed.

Needs DATABASE_URL (the owner of the tables) and KAFKA_BOOTSTRAP_SERVERS.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from chassis.db import NAMING, sqlalchemy_url
from chassis.errors import is_passing
from chassis.logging import configure, get_logger
from chassis.migrations import protect
from contracts.envelope import Event, EventData, MalformedEvent, UnknownEventType, decode
from services.reporting import projection
from services.reporting.models import PROJECTIONS
from services.reporting.settings import Settings

log = get_logger(__name__)

SCHEMA = "rebuild"
ONE_AT_A_TIME = projection.SWAP_LOCK + 1
NEARLY = 2_000
"""Records that may be left when the service is made to wait."""
PASSES = 20
BATCH = 2_000
QUIET_SECONDS = 30.0

TOPICS = sorted({kind.topic for kind in projection.HANDLED})


class RebuildRunning(RuntimeError):
    """Another rebuild is under way."""


@dataclass(slots=True)
class Rebuilt:
    """How much was read: records of the topics, events applied, and records that are no events of ours."""

    records: int = 0
    events: int = 0
    skipped: int = 0


async def rebuild(settings: Settings) -> Rebuilt:
    """Replaces the read models by ones built from the topics. Raises `RebuildRunning` if that is being done already."""
    engine = create_async_engine(sqlalchemy_url(settings.database_url), poolclass=NullPool)
    try:
        async with engine.connect() as guard:
            if not await guard.scalar(text(f"SELECT pg_try_advisory_lock({ONE_AT_A_TIME})")):
                raise RebuildRunning("another rebuild is under way; wait for it, or stop it")
            await guard.commit()
            async with engine.connect() as connection, Topics(settings.kafka_bootstrap_servers) as topics:
                return await _rebuild(connection, topics)
    finally:
        await engine.dispose()


async def _rebuild(connection: AsyncConnection, topics: Topics) -> Rebuilt:
    done = Rebuilt()
    async with connection.begin():
        await _create_tables(connection)
    for _ in range(PASSES):
        end = await topics.end()
        if topics.left(end) <= NEARLY:
            break
        await _read(connection, topics, end, done)
    async with connection.begin():
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({projection.SWAP_LOCK})"))
        # Nothing is handled now, so the end of the topics is at least where the service has come to.
        await _read_inside(connection, topics, await topics.end(), done)
        await _exchange(connection)
    log.info("read models rebuilt", records=done.records, events=done.events, skipped=done.skipped)
    return done


async def _create_tables(connection: AsyncConnection) -> None:
    await connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
    await connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    metadata = MetaData(naming_convention=NAMING)
    for table in PROJECTIONS:
        table.to_metadata(metadata, schema=SCHEMA)
    await connection.run_sync(metadata.create_all)
    await connection.execute(
        text(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO reporting_api, reporting_worker"
        )
    )
    statements = _Statements()
    for table in PROJECTIONS:
        protect(statements, f"{SCHEMA}.{table.name}", service="reporting")
    for statement in statements.collected:
        await connection.execute(text(statement))


class _Statements:
    """Takes the place of Alembic's operations: `protect` writes its statements here."""

    def __init__(self) -> None:
        self.collected: list[str] = []

    def execute(self, statement: str) -> None:
        self.collected.append(statement)


async def _exchange(connection: AsyncConnection) -> None:
    for table in PROJECTIONS:
        await connection.execute(text(f"DROP TABLE public.{table.name}"))
        await connection.execute(text(f"ALTER TABLE {SCHEMA}.{table.name} SET SCHEMA public"))
    await connection.execute(text(f"DROP SCHEMA {SCHEMA}"))


async def _read(connection: AsyncConnection, topics: Topics, end: Offsets, done: Rebuilt) -> None:
    while topics.left(end):
        async with connection.begin():
            await _apply(connection, await topics.next(end), done)


async def _read_inside(connection: AsyncConnection, topics: Topics, end: Offsets, done: Rebuilt) -> None:
    while topics.left(end):
        await _apply(connection, await topics.next(end), done)


async def _apply(connection: AsyncConnection, records: Sequence[Any], done: Rebuilt) -> None:
    events = []
    for record in records:
        done.records += 1
        try:
            event = decode(record.headers, record.value)
        except (MalformedEvent, UnknownEventType):
            done.skipped += 1  # the service made a dead letter of it, or counted it
            continue
        if isinstance(event.data, projection.HANDLED):
            events.append(event)
    await connection.execute(text(f"SET LOCAL search_path = {SCHEMA}, public"))
    if not await _applied(connection, events):
        for event in events:
            if not await _applied(connection, [event]):
                done.skipped += 1
                done.events -= 1
                log.warning("event skipped", event_id=str(event.id), event_type=event.type)
    done.events += len(events)


async def _applied(connection: AsyncConnection, events: Sequence[Event[EventData]]) -> bool:
    """False if PostgreSQL refuses one of them for good, as it would have refused the service."""
    try:
        async with connection.begin_nested():
            await projection.apply(connection, events)
    except Exception as error:
        if is_passing(error):
            raise
        return False
    return True


Offsets = dict[TopicPartition, int]


class Topics:
    """Reads all partitions of the topics from their beginning, in no group, so nobody's offsets change."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = AIOKafkaConsumer(
            *TOPICS, bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self._positions: Offsets = {}

    async def __aenter__(self) -> Topics:
        try:
            await self._consumer.start()
            partitions = self._consumer.assignment()
            missing = set(TOPICS) - {partition.topic for partition in partitions}
            if missing:
                raise LookupError(f"no topic {', '.join(sorted(missing))}; run `footlights topics apply`")
            self._positions = await self._consumer.beginning_offsets(partitions)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def end(self) -> Offsets:
        ends: Offsets = await self._consumer.end_offsets(list(self._positions))
        return ends

    def left(self, end: Offsets) -> int:
        """Records up to `end` that have not been read."""
        return sum(max(end[partition] - position, 0) for partition, position in self._positions.items())

    async def next(self, end: Offsets) -> list[Any]:
        """Some records. Raises `TimeoutError` when the brokers do not answer."""
        deadline = asyncio.get_running_loop().time() + QUIET_SECONDS
        while self.left(end):
            batches = await self._consumer.getmany(timeout_ms=200, max_records=BATCH)
            records = [record for batch in batches.values() for record in batch]
            for partition in self._positions:
                # Not the last record's offset: the end of a partition may hold records that are not delivered.
                self._positions[partition] = await self._consumer.position(partition)
            if records:
                return records
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"Kafka sent nothing for {QUIET_SECONDS:.0f} s")
        return []


def main() -> None:
    settings = Settings()
    configure(settings)
    try:
        done = asyncio.run(rebuild(settings))
    except (RebuildRunning, LookupError, TimeoutError) as error:
        sys.exit(f"reporting rebuild: {error}")
    sys.stdout.write(f"rebuilt from {done.records} records: {done.events} events applied, {done.skipped} skipped\n")


if __name__ == "__main__":
    main()
