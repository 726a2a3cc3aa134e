"""The one way by which an order learns what became of a payment.

Webhook, browser return, poller and our own captures all end here: the provider is asked outside of any transaction,
then the order's row is locked and the transition decided. Two of them at once give one transition.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid5

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.logging import get_logger
from services.orders import metrics
from services.orders.order import Cause, happen, load, record
from services.orders.order.tables import Order
from services.orders.payments.provider import (
    PaymentProvider,
    ProviderDisputeStatus,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderRefundStatus,
    ProviderStatus,
)
from services.orders.payments.tables import Payment, Refund, WebhookEvent
from services.orders.process import happenings as h
from services.orders.process.state import DisputeStage, PaymentStage, RefundStage

log = get_logger(__name__)

STAGES = {
    ProviderStatus.PENDING: PaymentStage.OPEN,
    ProviderStatus.HELD: PaymentStage.HELD,
    ProviderStatus.RECEIVED: PaymentStage.RECEIVED,
    ProviderStatus.FAILED: PaymentStage.FAILED,
    ProviderStatus.CANCELLED: PaymentStage.CANCELLED,
}
DISPUTES = {
    ProviderDisputeStatus.OPEN: DisputeStage.OPEN,
    ProviderDisputeStatus.WON: DisputeStage.WON,
    ProviderDisputeStatus.LOST: DisputeStage.LOST,
}


async def refresh(
    db: Database, provider: PaymentProvider, payment_id: UUID, source: str, event: ProviderEvent | None = None
) -> None:
    """Asks the provider about a payment and applies its answer. Raises `ProviderError`."""
    async with db.as_worker() as session:
        payment = await session.get(Payment, payment_id)
    if payment is None or payment.reference is None:
        return
    observed_at = datetime.now(UTC)
    answer = await provider.fetch(payment.reference)
    await apply_provider_state(db, payment_id, answer, observed_at, source, event)


async def apply_provider_state(
    db: Database,
    payment_id: UUID,
    answer: ProviderPayment,
    observed_at: datetime,
    source: str,
    event: ProviderEvent | None = None,
) -> None:
    """The locked command: `observed_at` is when the provider was asked, before it answered."""
    async with db.as_worker() as session:
        order_id = await session.scalar(select(Payment.order_id).where(Payment.id == payment_id))
        order = await load(session, order_id) if order_id else None
        if order is None:
            return
        if event is not None:
            payment = next(p for p in order.payments if p.id == payment_id)
            await remember(session, payment.provider, event, payment)
        await _apply(session, order, payment_id, answer, observed_at, source)


async def _apply(
    session: AsyncSession, order: Order, payment_id: UUID, answer: ProviderPayment, observed_at: datetime, source: str
) -> None:
    cause = Cause("provider", source)
    payment = next(p for p in order.payments if p.id == payment_id)
    if answer.amount.currency != order.currency:
        # Nothing can be decided by itself: people must look, and the metric raises an alert.
        metrics.MISMATCHES.inc()
        log.critical("payment in a foreign currency", payment_id=str(payment_id), currency=answer.amount.currency)
        record(session, order, "payment_mismatch", cause, currency=answer.amount.currency)
        return
    if answer.reason:
        payment.reason = answer.reason
    seen = h.PaymentSeen(
        payment_id=payment_id,
        stage=STAGES[answer.status],
        amount=answer.amount.minor,
        observed_at=observed_at,
        reason=answer.reason,
    )
    await happen(session, order, seen, cause)
    for refund in answer.refunds:
        await _apply_refund(session, order, payment, refund, cause)
    for dispute in answer.disputes:
        disputed = h.DisputeSeen(
            payment_id=payment_id,
            dispute_id=uuid5(payment_id, f"dispute {dispute.reference}"),
            amount=dispute.amount.minor,
            stage=DISPUTES[dispute.status],
            reason=dispute.reason,
        )
        await happen(session, order, disputed, cause)


async def _apply_refund(
    session: AsyncSession, order: Order, payment: Payment, refund: ProviderRefund, cause: Cause
) -> None:
    """Of ours, the attempt that is under way or was the last; of others, each is a fact of its own."""
    row = next((r for r in order.refunds if r.id == refund.refund_id and r.payment_id == payment.id), None)
    if row is None:
        if refund.status is not ProviderRefundStatus.PENDING:
            seen = h.RefundSeen(
                payment_id=payment.id,
                refund_id=uuid5(payment.id, f"refund at provider {refund.reference}"),
                amount=refund.amount.minor,
                stands=refund.status is ProviderRefundStatus.DONE,
            )
            await happen(session, order, seen, cause)
        return
    if row.reference is None and row.stage != RefundStage.SENT and refund.status is not ProviderRefundStatus.FAILED:
        # The answer to our attempt was lost. One that failed is an earlier attempt, or is answered when it is repeated.
        row.reference = refund.reference
    if row.reference == refund.reference:
        await refund_answered(session, order, row, refund, cause)


async def refund_answered(
    session: AsyncSession, order: Order, row: Refund, answer: ProviderRefund, cause: Cause
) -> None:
    """What became of the last attempt to refund `row`, whose reference it has."""
    if answer.status is ProviderRefundStatus.DONE:
        await happen(session, order, h.RefundDone(refund_id=row.id, attempt=row.failures), cause)
    elif answer.status is ProviderRefundStatus.FAILED:
        row.reason = answer.reason
        failed = h.RefundFailed(refund_id=row.id, attempt=row.failures, reason=answer.reason or "", final=answer.final)
        await happen(session, order, failed, cause)


async def already_processed(session: AsyncSession, provider: str, event: ProviderEvent) -> bool:
    known = exists().where(WebhookEvent.provider == provider, WebhookEvent.event_id == event.id)
    return bool(await session.scalar(select(known)))


async def remember(session: AsyncSession, provider: str, event: ProviderEvent, payment: Payment | None) -> None:
    """Keeps a webhook's id in the transaction of its effects."""
    await session.execute(
        insert(WebhookEvent)
        .values(
            provider=provider,
            event_id=event.id,
            organisation=payment.organisation if payment else None,
            payment_id=payment.id if payment else None,
            reference=event.reference,
            kind=event.kind,
        )
        .on_conflict_do_nothing()
    )


async def _named(session: AsyncSession, provider: PaymentProvider, event: ProviderEvent) -> Payment | None:
    by_id = Payment.id == event.payment_id if event.payment_id else Payment.reference == event.reference
    return await session.scalar(select(Payment).where(Payment.provider == provider.name, by_id))


async def process_webhook(db: Database, provider: PaymentProvider, event: ProviderEvent) -> str:
    """Handles one event of a verified webhook; returns the outcome for the metric. Raises `ProviderError`."""
    async with db.as_worker() as session:
        if await already_processed(session, provider.name, event):
            return "duplicate"
        payment = await _named(session, provider, event)
    if payment is None and event.payment_id is None:
        found = await provider.find(event.reference)
        event = replace(event, payment_id=found)
    async with db.as_worker() as session:
        payment = payment or await _named(session, provider, event)
        if payment is None:
            log.error("webhook about an unknown payment", provider=provider.name, reference=event.reference)
            await remember(session, provider.name, event, None)
            return "unknown"
        if payment.reference is None:
            # The webhook overtook the answer that names the payment: let the provider send it again.
            return "early"
    await refresh(db, provider, payment.id, "webhook", event)
    return "applied"
