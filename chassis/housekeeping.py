"""What the relay's leader does beside publishing: room for published events, and the gauges of the outbox.

On a connection of its own, so nothing it waits for stops an event. A failure is tolerated: there is room for a day.
"""

from __future__ import annotations

import asyncio
import time

import asyncpg

from chassis import metrics
from chassis.db import Database
from chassis.logging import get_logger

log = get_logger(__name__)

LOOK_SECONDS = 5.0
ROTATE_SECONDS = 60.0
KEEP = "12 hours"
LOCK_TIMEOUT = "1s"

WAITING = """
    SELECT count(*) AS n, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS age FROM outbox
"""


async def keep_house(db: Database) -> None:
    """Runs until cancelled."""
    while True:
        connection: asyncpg.Connection[asyncpg.Record] | None = None
        try:
            connection = await db.pin("worker")
            await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            await _look_after(connection)
        except Exception as error:
            metrics.HOUSEKEEPING_FAILURES.inc()
            log.warning("housekeeping put off", error=repr(error))
        finally:
            if connection is not None:
                connection.terminate()
        await asyncio.sleep(LOOK_SECONDS)


async def _look_after(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    rotation_due = 0.0
    while True:
        waiting = await connection.fetchrow(WAITING, timeout=30)
        if waiting is not None:
            metrics.OUTBOX_DEPTH.set(waiting["n"])
            metrics.OUTBOX_AGE.set(float(waiting["age"]))
        if time.monotonic() >= rotation_due:
            ahead = await connection.fetchval("SELECT footlights_rotate($1::text::interval)", KEEP, timeout=30)
            metrics.OUTBOX_HOURS_AHEAD.set(ahead)
            rotation_due = time.monotonic() + ROTATE_SECONDS
        await asyncio.sleep(LOOK_SECONDS)


def unsay() -> None:
    """Another process has the outbox in its care, and says how it is."""
    metrics.OUTBOX_DEPTH.set(0)
    metrics.OUTBOX_AGE.set(0)
