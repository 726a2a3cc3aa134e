"""Reporting forgets orders that never were more than interest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import select

from chassis.db import Database
from chassis.retention import forget
from services.reporting import retention
from services.reporting.models import OrderRow
from services.reporting.settings import Settings


def row(stage: str, days: int) -> OrderRow:
    then = datetime.now(UTC) - timedelta(days=days)
    return OrderRow(
        order_id=uuid4(), organisation=uuid4(), number=f"{stage} {days}", stage=stage, payment_status="not_paid",
        currency="UAH", total=1, title="", created_at=then, version=1, event_at=then, event_id=uuid4(),
    )  # fmt: skip


async def test_interest_is_forgotten_in_time(db: Database) -> None:
    async with db.as_worker() as session:
        session.add_all([row("interested", 91), row("interested", 89), row("paid", 91)])
    (rule,) = retention.rules(Settings())
    assert [await forget(db, rule), await forget(db, rule)] == [1, 0]
    async with db.as_worker() as session:
        assert set(await session.scalars(select(OrderRow.number))) == {"interested 89", "paid 91"}
