"""What becomes of holds whose time is over: they lapse, and orders is asked whether anybody ordered their seats.

A checkout needs nobody but orders, so an order may have been placed, and paid, that ticketing has not heard of: because
Kafka, a relay or a consumer was away. So the seats of a lapsed hold stay its own until an event of orders says what
becomes of them (`tickets.orders`): they are sold, kept longer, or free.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from chassis import outbox
from chassis.db import Database
from chassis.logging import get_logger
from contracts.ticketing import HoldLapsed
from services.ticketing import metrics

BATCH = 500
PAUSE_SECONDS = 0.2

log = get_logger(__name__)

LAPSE = text("""
    WITH due AS (
        SELECT id FROM hold
        WHERE status = 'active' AND expires_at <= clock_timestamp()
        ORDER BY expires_at LIMIT :batch
        FOR UPDATE SKIP LOCKED
    )
    UPDATE hold SET status = 'lapsed', version = version + 1
    FROM due WHERE hold.id = due.id
    RETURNING hold.id, hold.organisation, hold.show_id, hold.version,
              coalesce(hold.terms -> 0, hold.places -> 0) -> 'price' ->> 'currency' AS currency
""")

WAITING = text("""
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(expires_at)), 0)::float8
    FROM hold WHERE status = 'lapsed'
""")


async def lapse_holds(db: Database) -> int:
    """Asks orders about holds whose time has passed. Returns how many."""
    async with db.as_worker() as session:
        due = (await session.execute(LAPSE, {"batch": BATCH})).all()
        for hold in due:
            outbox.add(
                session,
                HoldLapsed(hold_id=hold.id, show_id=hold.show_id, currency=hold.currency),
                organisation=hold.organisation,
                version=hold.version,
                correlation_id=str(hold.id),
            )
    return len(due)


class Expiry:
    """Looks after holds whose time is over when somebody is refused for want of places, not only when the job comes by:
    so places return although it may not run. At most one at a time, and one in `PAUSE_SECONDS`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._lapse(), name="lapse-holds-soon")

    async def _lapse(self) -> None:
        try:
            await lapse_holds(self._db)
        except Exception as error:
            log.warning("holds whose time is over were not looked after", error=repr(error))
        await asyncio.sleep(PAUSE_SECONDS)


async def measure(db: Database) -> int:
    """How long the oldest lapsed hold has waited to hear of its order."""
    async with db.as_worker() as session:
        metrics.LAPSED_SECONDS.set(await session.scalar(WAITING) or 0)
    return 0
