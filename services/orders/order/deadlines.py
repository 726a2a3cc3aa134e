"""Deadlines of orders, as rows: what was not paid in time expires."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.jobs import Job
from chassis.logging import get_logger
from contracts.orders import FunnelStage
from services.orders import metrics
from services.orders.order import Cause, happen, load
from services.orders.order.tables import Order
from services.orders.payments.apply import refresh
from services.orders.payments.provider import PaymentProvider
from services.orders.payments.tables import Payment, Refund
from services.orders.process import happenings as h
from services.orders.process.state import PAYABLE, Delivery, RefundStage, Wanted
from services.orders.settings import Settings

AT_ONCE = 50
PATIENCE = timedelta(minutes=1)
"""An order whose provider does not answer is given so much longer."""

log = get_logger(__name__)


def deadline_jobs(providers: Mapping[str, PaymentProvider], settings: Settings) -> list[Job]:
    return [
        Job("deadlines", 0.5, partial(pass_deadlines, providers, settings), rest_seconds=2),
        Job("measures", 15, measure, alone=True, leave=metrics.unsay),
    ]


async def pass_deadlines(providers: Mapping[str, PaymentProvider], settings: Settings, db: Database) -> int:
    """Decides the deadlines that have passed; several replicas share them.

    The provider is asked first: a buyer who paid at the last moment has paid in time, however late its webhook is.
    """
    now = datetime.now(UTC)
    async with db.as_worker() as session:
        due = select(Order.id).where(Order.due_at <= now).order_by(Order.due_at).limit(AT_ONCE)
        ids = list(await session.scalars(due))
    if not ids:
        return 0
    unknown = await _ask(db, providers, ids)
    async with db.as_worker() as session:
        patient = Order.id.in_(unknown) & (Order.due_at > now - PATIENCE)
        decided = select(Order.id).where(Order.id.in_(ids), Order.due_at <= now, ~patient).order_by(Order.due_at)
        ids = list(await session.scalars(decided.with_for_update(skip_locked=True)))
        for order_id in ids:
            order = await load(session, order_id)
            if order is not None:
                grace = now + timedelta(seconds=settings.late_payment_seconds)
                passed = h.DeadlinePassed(now=now, grace_until=grace)
                await happen(session, order, passed, Cause("system", "deadline"))
        return len(ids)


async def _ask(db: Database, providers: Mapping[str, PaymentProvider], ids: list[UUID]) -> set[UUID]:
    """Looks at the card pages of orders that still await their money; returns those whose provider did not answer."""
    async with db.as_worker() as session:
        pages = (
            select(Payment.order_id, Payment.id, Payment.provider)
            .join(Order, Order.id == Payment.order_id)
            .where(
                Payment.order_id.in_(ids),
                Payment.stage.in_(PAYABLE),
                Payment.wanted.is_(None),
                Order.stage == FunnelStage.AWAITING_PAYMENT.value,
            )
        )
        asked = [row for row in await session.execute(pages) if row.provider in providers]
    answers = await asyncio.gather(
        *(refresh(db, providers[row.provider], row.id, "deadline") for row in asked), return_exceptions=True
    )
    failed = {row.order_id: error for row, error in zip(asked, answers, strict=True) if isinstance(error, Exception)}
    for order_id, error in failed.items():
        log.warning("payment not known at its deadline", order_id=str(order_id), error=repr(error))
    return set(failed)


async def measure(db: Database) -> int:
    """Sets the gauges that partial indexes answer; `measures` has the others."""
    async with db.as_worker() as session:
        await _measure(session)
    return 0


async def _measure(session: AsyncSession) -> None:
    now = datetime.now(UTC)
    metrics.OVERDUE_SECONDS.set(_age(await session.scalar(select(func.min(Order.due_at))), now))
    # What staff send back by hand has no time at which we act, and is counted apart.
    is_open = Refund.stage.in_([RefundStage.PENDING.value, RefundStage.REFUSED.value])
    waiting = select(func.count(), func.min(Refund.created_at)).where(is_open, Refund.due_at.is_not(None))
    refunds, oldest = (await session.execute(waiting)).one()
    metrics.REFUNDS_WAITING.set(refunds)
    metrics.REFUND_WAIT_SECONDS.set(_age(oldest, now))
    by_hand = select(func.count()).where(is_open, Refund.due_at.is_(None))
    metrics.REFUNDS_BY_HAND.set(await session.scalar(by_hand) or 0)
    wanted = select(Payment.wanted, func.min(Payment.wanted_since)).where(Payment.due_at.is_not(None))
    since = {row[0]: row[1] for row in await session.execute(wanted.group_by(Payment.wanted))}
    for call in Wanted:
        metrics.WANTED_SECONDS.labels(call.value).set(_age(since.get(call.value), now))
    undelivered = select(func.count()).where(
        Order.stage == FunnelStage.PAID.value, Order.delivery == Delivery.REQUESTED.value
    )
    metrics.UNDELIVERED.set(await session.scalar(undelivered) or 0)


def _age(since: datetime | None, now: datetime) -> float:
    return max((now - since).total_seconds(), 0) if since else 0
