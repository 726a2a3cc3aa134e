"""What must be asked of the providers, from due rows: a crash at any point only repeats a call with the same key.

A row is claimed by moving its `due_at` into the future; if the process dies, it comes up again then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.jobs import Job
from chassis.logging import get_logger
from chassis.metrics import JOB_RUNS
from contracts.money import Money
from services.orders import metrics
from services.orders.order import Cause, load
from services.orders.payments.apply import apply_provider_state, refresh, refund_answered
from services.orders.payments.begin import start_at_provider
from services.orders.payments.provider import PaymentProvider, ProviderError, ProviderRefund, ProviderRefundStatus
from services.orders.payments.tables import Payment, Refund
from services.orders.process.state import MANUAL, RefundStage, Wanted
from services.orders.settings import Settings

log = get_logger(__name__)

AT_ONCE = 20
LEASE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=5)

Providers = Mapping[str, PaymentProvider]


def payment_jobs(providers: Providers, settings: Settings) -> list[Job]:
    return [
        Job("payments", 0.5, partial(follow_payments, providers, settings), rest_seconds=2),
        Job("refunds", 0.5, partial(send_refunds, providers), rest_seconds=2),
    ]


async def follow_payments(providers: Providers, settings: Settings, db: Database) -> int:
    """Captures and cancels what is wanted, and asks about open payments whose webhook may be lost."""
    async with db.as_worker() as session:
        claimed = await _claim_payments(session, settings)
    await _all("payments", partial(_follow, db, providers), claimed)
    return len(claimed)


async def _claim_payments(session: AsyncSession, settings: Settings) -> list[UUID]:
    now = datetime.now(UTC)
    statement = (select(Payment).where(Payment.due_at <= now).order_by(Payment.due_at).limit(AT_ONCE)).with_for_update(
        skip_locked=True
    )
    rows = list(await session.scalars(statement))
    for row in rows:
        row.attempts += 1
        pause = timedelta(seconds=settings.payment_poll_seconds) * 2 ** min(row.attempts, 10)
        row.due_at = now + min(max(pause, timedelta(seconds=1)), LONGEST_PAUSE)
    return [row.id for row in rows]


async def _follow(db: Database, providers: Providers, payment_id: UUID) -> None:
    async with db.as_worker() as session:
        payment = await session.get_one(Payment, payment_id)
    provider = providers.get(payment.provider)
    if provider is None:
        await _stop(db, payment_id)
        return
    if payment.reference is None:
        # We asked for a card page and died before its name was kept: asking again names the same one.
        await start_at_provider(db, provider, payment_id)
        async with db.as_worker() as session:
            payment = await session.get_one(Payment, payment_id)
        if payment.reference is None:
            return
    if payment.wanted is None:
        await refresh(db, provider, payment.id, "poll")
        return
    observed_at = datetime.now(UTC)
    try:
        if payment.wanted == Wanted.CAPTURE:
            amount = Money(minor=payment.amount, currency=payment.currency)
            answer = await provider.capture(payment.reference, amount, f"capture-{payment.id}")
        else:
            answer = await provider.cancel(payment.reference, f"cancel-{payment.id}")
    except ProviderError as error:
        metrics.PROVIDER_ERRORS.labels(provider.name, payment.wanted).inc()
        if error.retryable:
            raise
        # It does not fit the payment's state there; what that is decides.
        await refresh(db, provider, payment_id, "job")
        return
    await apply_provider_state(db, payment_id, answer, observed_at, "job")


async def _stop(db: Database, payment_id: UUID) -> None:
    async with db.as_worker() as session:
        row = await session.get_one(Payment, payment_id)
        row.due_at = None


async def send_refunds(providers: Providers, db: Database) -> int:
    """Gives money back until the provider says that it is done."""
    now = datetime.now(UTC)
    async with db.as_worker() as session:
        statement = (select(Refund).where(Refund.due_at <= now).order_by(Refund.due_at).limit(AT_ONCE)).with_for_update(
            skip_locked=True
        )
        rows = list(await session.scalars(statement))
        for row in rows:
            row.attempts += 1
            row.due_at = now + min(LEASE * 2 ** min(row.attempts - 1, 8), timedelta(hours=1))
        claimed = [row.id for row in rows]
    await _all("refunds", partial(_send_refund, db, providers), claimed)
    return len(claimed)


async def _send_refund(db: Database, providers: Providers, refund_id: UUID) -> None:
    async with db.as_worker() as session:
        refund = await session.get_one(Refund, refund_id)
        payment = await session.get_one(Payment, refund.payment_id)
    if refund.stage != RefundStage.PENDING:
        return
    if payment.provider == MANUAL:
        # Written by a release that did not wait for staff, who send it back and say so.
        async with db.as_worker() as session:
            (await session.get_one(Refund, refund_id)).due_at = None
        return
    provider = providers.get(payment.provider)
    if provider is None or payment.reference is None:
        log.error("refund has no provider", refund_id=str(refund_id), provider=payment.provider)
        return
    if refund.reference is not None:
        await refresh(db, provider, payment.id, "poll")
        return
    amount = Money(minor=refund.amount, currency=payment.currency)
    try:
        key = f"refund-{refund.id}-{refund.failures}"
        answer = await provider.refund(payment.reference, amount, key, refund.id)
    except ProviderError as error:
        metrics.PROVIDER_ERRORS.labels(provider.name, "refund").inc()
        if error.retryable:
            raise
        # Somebody else may have given the money back, or taken it: what became of the payment decides.
        await refresh(db, provider, payment.id, "job")
        answer = ProviderRefund(reference="", status=ProviderRefundStatus.FAILED, amount=amount, reason=str(error))
    await _refund_answered(db, refund, answer)


async def _refund_answered(db: Database, asked: Refund, answer: ProviderRefund) -> None:
    async with db.as_worker() as session:
        order = await load(session, asked.order_id)
        if order is None:
            return
        row = next(r for r in order.refunds if r.id == asked.id)
        if row.failures != asked.failures:
            # Another replica, or a webhook, was quicker.
            return
        row.reference = answer.reference or row.reference
        if answer.status is ProviderRefundStatus.FAILED:
            log.error("refund refused", refund_id=str(row.id), reason=answer.reason)
        await refund_answered(session, order, row, answer, Cause("provider", "job"))


async def _all(job: str, work: Callable[[UUID], Awaitable[None]], ids: list[UUID]) -> None:
    """One bad payment must not hold up the others; it comes up again when its lease is over. Unless only the provider
    is away, which has a metric of its own, it counts as a failed run of the job."""
    for id_, result in zip(ids, await asyncio.gather(*map(work, ids), return_exceptions=True), strict=True):
        if isinstance(result, ProviderError):
            log.warning("provider not reached", id=str(id_), error=str(result))
        elif isinstance(result, Exception):
            log.error("job failed", job=job, id=str(id_), exc_info=result)
            JOB_RUNS.labels(job, "failed").inc()
