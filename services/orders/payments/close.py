"""Closing card pages before staff enter a payment, so that the buyer does not pay a second time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from chassis.db import Database
from chassis.logging import get_logger
from services.orders.order import Cause, happen, load
from services.orders.payments.apply import apply_provider_state
from services.orders.payments.provider import PaymentProvider, ProviderError
from services.orders.payments.tables import Payment
from services.orders.process import happenings as h
from services.orders.process.state import PAYABLE, Wanted

log = get_logger(__name__)


async def close_open_pages(
    db: Database, providers: Mapping[str, PaymentProvider], order_id: UUID, cause: Cause
) -> None:
    """Best effort, now: what cannot be closed is asked for again by the process, and money that comes anyway goes back.

    If the buyer has paid in the meantime, the order is paid by that.
    """
    async with db.as_worker() as session:
        order = await load(session, order_id)
        if order is None:
            return
        await happen(session, order, h.PagesUnwanted(), cause)
        payments = [row for row in order.payments if row.stage in PAYABLE and row.wanted == Wanted.CANCEL]
    await asyncio.gather(*(_close(db, providers, payment) for payment in payments))


async def _close(db: Database, providers: Mapping[str, PaymentProvider], payment: Payment) -> None:
    provider = providers.get(payment.provider)
    if provider is None or payment.reference is None:
        return
    observed_at = datetime.now(UTC)
    try:
        answer = await provider.cancel(payment.reference, f"cancel-{payment.id}")
    except ProviderError as error:
        log.warning("card page not closed", payment_id=str(payment.id), error=str(error))
        return
    await apply_provider_state(db, payment.id, answer, observed_at, "staff")
