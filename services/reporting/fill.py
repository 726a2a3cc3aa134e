"""`python -m services.reporting.fill`: puts into the archive what the topics still have and it lacks.

Once for an installation whose reports are older than its archive, and after the database was lost. It may run beside
the service, be stopped and be repeated. A rebuild makes reports of it.

Needs DATABASE_WORKER_URL and KAFKA_BOOTSTRAP_SERVERS.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from aiokafka import TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import kafka
from chassis.db import Database
from chassis.logging import configure
from contracts.envelope import MalformedEvent, UnknownEventType, decode
from services.reporting import archive, projection
from services.reporting.settings import Settings

BATCH = 2_000
QUIET_SECONDS = 30.0

TOPICS = sorted({kind.topic for kind in projection.HANDLED})
FACTS = text("SELECT count(*) FROM fact")


async def fill(settings: Settings) -> tuple[int, int]:
    """How many records were read, and how many facts were new. Raises `LookupError` and `TimeoutError`."""
    db, records = Database(settings), 0
    try:
        async with db.as_worker() as session:
            before = int(await session.scalar(FACTS) or 0)
        async with Topics(settings) as topics:
            end = await topics.end()
            while topics.left(end):
                batch = await topics.next(end)
                records += len(batch)
                async with db.as_worker() as session:
                    await _keep(session, batch)
        async with db.as_worker() as session:
            return records, int(await session.scalar(FACTS) or 0) - before
    finally:
        await db.close()


async def _keep(session: AsyncSession, records: list[Any]) -> None:
    events = []
    for record in records:
        try:
            event = decode(record.headers, record.value)
        except (MalformedEvent, UnknownEventType):
            continue  # the service made a dead letter of it, or counted it
        if isinstance(event.data, projection.HANDLED) and event.organisation is not None:
            events.append(event)
    await archive.keep(session, events)


Offsets = dict[TopicPartition, int]


class Topics:
    """Reads all partitions of the topics from their beginning, in no group, so nobody's offsets change."""

    def __init__(self, brokers: kafka.Brokers) -> None:
        self._consumer = kafka.Consumer(brokers, *TOPICS, enable_auto_commit=False, auto_offset_reset="earliest")
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
        records, new = asyncio.run(fill(settings))
    except (LookupError, TimeoutError) as error:
        sys.exit(f"reporting fill: {error}")
    sys.stdout.write(f"read {records} records: {new} facts were new\n")


if __name__ == "__main__":
    main()
