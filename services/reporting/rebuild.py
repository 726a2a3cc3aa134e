"""`python -m services.reporting.rebuild`: builds the read models anew from the archive, while the service goes on.

The rows are built in a schema of their own. When they have nearly caught up, batches and reports of the service wait
for a moment: the rest of the archive is read, the tables take the place of the old ones, and all is one commit.
Whenever it is stopped before, nothing has changed. Nor does anything if the new tables have fewer rows than the old
ones: then the archive lacks something (`services.reporting.fill`), and only `--fewer` says that it is right.

Needs DATABASE_URL (the owner of the tables).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import MetaData, func, select, text
from sqlalchemy import table as sqltable
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from chassis import postgres
from chassis.db import NAMING
from chassis.errors import is_passing
from chassis.logging import configure, get_logger
from chassis.migrations import protect, unsee
from chassis.walls import views
from contracts.envelope import Event, EventData
from services.reporting import archive, projection
from services.reporting.models import PROJECTIONS
from services.reporting.settings import Settings

log = get_logger(__name__)

SCHEMA = "rebuild"
ONE_AT_A_TIME = projection.SWAP_LOCK + 1
NEARLY = 2_000
"""Facts that may be left when the service is made to wait."""
PASSES = 20
BATCH = 2_000

ALONE = text(f"SELECT pg_advisory_xact_lock({projection.SWAP_LOCK})")
END = text("SELECT coalesce(max(id), 0) FROM public.fact")


class RebuildRunning(RuntimeError):
    """Another rebuild is under way."""


class WouldLose(RuntimeError):
    """The new read models have fewer rows than the old ones."""


@dataclass(slots=True)
class Rebuilt:
    """How many facts were applied, and how many could not be, as the service could not apply them either."""

    events: int = 0
    skipped: int = 0


async def rebuild(settings: Settings, *, fewer: bool = False) -> Rebuilt:
    """Replaces the read models by ones built from the archive.

    Raises `RebuildRunning` if that is being done already, and unless `fewer` is right `WouldLose`.
    """
    engine = postgres.engine(settings.database_url, poolclass=NullPool)
    try:
        async with engine.connect() as guard:
            if not await guard.scalar(text(f"SELECT pg_try_advisory_lock({ONE_AT_A_TIME})")):
                raise RebuildRunning("another rebuild is under way; wait for it, or stop it")
            await guard.commit()
            async with engine.connect() as connection:
                return await _rebuild(connection, fewer)
    finally:
        await engine.dispose()


async def _rebuild(connection: AsyncConnection, fewer: bool) -> Rebuilt:
    done, position = Rebuilt(), 0
    async with connection.begin():
        await _create_tables(connection)
    for _ in range(PASSES):
        async with connection.begin():
            # Alone for a moment: a batch under way may have lower ids than one that was committed.
            await connection.execute(ALONE)
            end = int(await connection.scalar(END) or 0)
        if end - position <= NEARLY:
            break
        while position < end:
            async with connection.begin():
                position = await _apply(connection, position, end, done)
    async with connection.begin():
        await connection.execute(ALONE)
        end = int(await connection.scalar(END) or 0)
        while position < end:
            position = await _apply(connection, position, end, done)
        if not fewer:
            await _refuse_fewer(connection)
        await _exchange(connection)
    log.info("read models rebuilt", events=done.events, skipped=done.skipped)
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


async def _refuse_fewer(connection: AsyncConnection) -> None:
    lost = []
    for table in PROJECTIONS:
        old, new = [
            int(await connection.scalar(select(func.count()).select_from(sqltable(table.name, schema=schema))) or 0)
            for schema in ("public", SCHEMA)
        ]
        if new < old:
            lost.append(f"{table.name} {new} instead of {old}")
    if lost:
        raise WouldLose(
            f"there would be fewer rows: {', '.join(lost)}; nothing was changed. Fill the archive from the topics "
            "first (`footlights reporting fill`), or rebuild with --fewer if fewer is right"
        )


async def _exchange(connection: AsyncConnection) -> None:
    statements = _Statements()
    for table in PROJECTIONS:
        unsee(statements, table.name)
    for statement in statements.collected:
        await connection.execute(text(statement))
    for table in PROJECTIONS:
        await connection.execute(text(f"DROP TABLE public.{table.name}"))
        await connection.execute(text(f"ALTER TABLE {SCHEMA}.{table.name} SET SCHEMA public"))
    await connection.execute(text(f"DROP SCHEMA {SCHEMA}"))
    await connection.exec_driver_sql(views("reporting"))


async def _apply(connection: AsyncConnection, position: int, end: int, done: Rebuilt) -> int:
    """Applies some facts behind a position; the position behind them."""
    position, events = await archive.read(connection, position, end, BATCH)
    await connection.execute(text(f"SET LOCAL search_path = {SCHEMA}, public"))
    if not await _applied(connection, events):
        for event in events:
            if not await _applied(connection, [event]):
                done.skipped += 1
                done.events -= 1
                log.warning("event skipped", event_id=str(event.id), event_type=event.type)
    done.events += len(events)
    return position


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


def main() -> None:
    settings = Settings()
    configure(settings)
    try:
        done = asyncio.run(rebuild(settings, fewer="--fewer" in sys.argv[1:]))
    except (RebuildRunning, WouldLose, ValueError) as error:
        sys.exit(f"reporting rebuild: {error}")
    sys.stdout.write(f"rebuilt from {done.events + done.skipped} facts: {done.skipped} skipped\n")


if __name__ == "__main__":
    main()
