"""Sending a buyer to the card page. The payment's row is there before the provider is asked, so no answer is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from chassis.db import Database
from chassis.logging import get_logger
from contracts.orders import FunnelStage
from services.orders import metrics
from services.orders.errors import NotPossibleNow
from services.orders.order import Cause, happen, links, load
from services.orders.order.tables import Order
from services.orders.payments.provider import PaymentProvider, ProviderError, StartPayment
from services.orders.payments.tables import Payment
from services.orders.process import happenings as h
from services.orders.process.state import MANUAL, PAYABLE, PaymentStage

log = get_logger(__name__)

MOST_PAGES = 20
"""Of one order: more cards than anybody has. Every page is asked about, and read whenever the order changes."""


async def open_payment(session: AsyncSession, order: Order, provider: str, cause: Cause) -> Payment:
    """A payment of a locked order that the provider does not know yet; from the `MOST_PAGES`th on, the newest whose
    page can be paid. Raises `NotPossibleNow`."""
    pages = [row for row in order.payments if row.provider != MANUAL]
    if len(pages) >= MOST_PAGES and order.stage == FunnelStage.AWAITING_PAYMENT:
        payable = [row for row in pages if row.stage in PAYABLE and row.wanted is None]
        if not payable:
            raise NotPossibleNow("Too many card payments were begun for this order. Ask the organiser.")
        return payable[-1]
    payment_id = uuid7()
    await happen(session, order, h.PaymentOpened(payment_id=payment_id, provider=provider), cause)
    return next(row for row in order.payments if row.id == payment_id)


def open_payment_of(order: Order) -> Payment | None:
    """The newest payment whose card page is open."""
    pages = [row for row in order.payments if row.stage == PaymentStage.OPEN and row.wanted is None]
    return pages[-1] if pages else None


async def start_at_provider(db: Database, provider: PaymentProvider, payment_id: UUID) -> str | None:
    """Asks the provider for the card page and keeps its answer. Repeating it gives the same page.

    Returns the page's address. Raises `ProviderError`.
    """
    async with db.as_worker() as session:
        payment = await session.get_one(Payment, payment_id)
        order = await session.get_one(Order, payment.order_id)
    if payment.reference is not None:
        return payment.redirect_url
    request = StartPayment(
        payment_id=payment.id,
        order_id=order.id,
        order_number=order.number,
        amount=order.money(payment.asked),
        description=f"{order.title} · {order.number}" if order.title else order.number,
        return_url=links.return_url(payment.id, payment.organisation, payment.created_at),
        webhook_url=links.public(f"/webhooks/{provider.name}"),
        locale=order.locale,
        customer_email=order.customer_email,
        idempotency_key=f"start-{payment.id}",
    )
    try:
        started = await provider.start(request)
    except ProviderError as error:
        metrics.PROVIDER_ERRORS.labels(provider.name, "start").inc()
        if not error.retryable:
            await _never_started(db, payment.id, order.id, str(error))
        raise
    async with db.as_worker() as session:
        locked = await load(session, order.id)
        row = next(p for p in locked.payments if p.id == payment_id) if locked else payment
        row.reference, row.redirect_url = started.reference, started.redirect_url
    return started.redirect_url


async def _never_started(db: Database, payment_id: UUID, order_id: UUID, reason: str) -> None:
    """The provider refused to open it: nobody can ever pay it."""
    async with db.as_worker() as session:
        order = await load(session, order_id)
        if order is None:
            return
        next(p for p in order.payments if p.id == payment_id).reason = reason
        seen = h.PaymentSeen(
            payment_id=payment_id,
            stage=PaymentStage.CANCELLED,
            amount=0,
            observed_at=datetime.now(UTC),
            reason=reason,
        )
        await happen(session, order, seen, Cause("provider", "start"))
    log.warning("payment not started", payment_id=str(payment_id), reason=reason)
