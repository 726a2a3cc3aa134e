"""Gauges that have to look at whole tables: every few minutes, in one replica, and of the ledger only what is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.jobs import Job
from contracts.orders import FunnelStage
from services.orders import metrics
from services.orders.order.tables import Order
from services.orders.payments.tables import LedgerEntry

STAGES_SECONDS = 300.0
LEDGER_SECONDS = 120.0
SLICE = 500_000
"""Entries summed by one statement."""
SETTLED = timedelta(minutes=10)
"""No transaction is under way for so long (`idle_in_transaction_session_timeout`): nothing older can still appear."""
AUDIT = timedelta(days=1)
"""So often the whole ledger is summed again, not only what came since."""


def measure_jobs() -> list[Job]:
    return [
        Job("stages", STAGES_SECONDS, count_stages, alone=True),
        Job("ledger", LEDGER_SECONDS, LedgerSum().measure, alone=True),
    ]


async def count_stages(db: Database) -> int:
    stages = {stage.value: 0 for stage in FunnelStage}
    async with db.as_worker() as session:
        counted = await session.execute(select(Order.stage, func.count()).group_by(Order.stage))
        stages.update({stage: count for stage, count in counted if stage})
    for stage, count in stages.items():
        metrics.IN_STAGE.labels(stage).set(count)
    return 0


class LedgerSum:
    """The sum of all entries: those that are settled once a day, in slices, the newer ones each time."""

    def __init__(self, slice_size: int = SLICE) -> None:
        self._slice = slice_size
        self._sum = 0
        """Of the entries up to and with `_position`."""
        self._position = 0
        self._audit_at = datetime.now(UTC) + AUDIT

    async def measure(self, db: Database) -> int:
        """Sums a slice; more than zero while there are others before the sum is known."""
        now = datetime.now(UTC)
        if now >= self._audit_at:
            self._sum, self._position, self._audit_at = 0, 0, now + AUDIT
        async with db.as_worker() as session:
            settled = await self._settled(session, now - SETTLED)
            step = min(settled, self._position + self._slice)
            self._sum += await _sum(session, self._position, step)
            done, self._position = step - self._position, step
            if step < settled:
                return done
            newer = await _sum(session, self._position, None)
        metrics.LEDGER_SUM.set(self._sum + newer)
        return 0

    async def _settled(self, session: AsyncSession, before: datetime) -> int:
        newest = select(LedgerEntry.id).where(LedgerEntry.at < before, LedgerEntry.id > self._position)
        return await session.scalar(newest.order_by(LedgerEntry.id.desc()).limit(1)) or self._position


async def _sum(session: AsyncSession, after: int, up_to: int | None) -> int:
    total = select(func.coalesce(func.sum(LedgerEntry.amount), 0)).where(LedgerEntry.id > after)
    if up_to is not None:
        total = total.where(LedgerEntry.id <= up_to)
    return int(await session.scalar(total) or 0)
