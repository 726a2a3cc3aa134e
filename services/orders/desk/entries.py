"""Money that staff take: by bank transfer or at a cash desk, in parts, too much, or entered by mistake."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from chassis.texts import ONE_LINE
from contracts.money import Money
from services.orders.errors import NotPossibleNow, PaymentNotFound
from services.orders.order import Cause, happen, record
from services.orders.order.searched import keep_searchable
from services.orders.order.tables import Order
from services.orders.process import happenings as h

Line = Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: Money | None = None
    """What came; without it, all that is missing. An order is paid once nothing is missing; what is too much is to be
    sent back."""
    value_date: date | None = None
    """The day on which the bank booked it, or it was put into the cash desk."""
    account: Line | None = None
    """The bank account or cash desk that has it."""
    reference: Line | None = None
    """Of the bank transfer or receipt: the order is found by it."""


async def enter_payment(session: AsyncSession, order: Order, entry: Entry, cause: Cause) -> UUID:
    """Staff have the money, or a part (ORD-48, ORD-51). Returns the id of the payment. Raises `NotPossibleNow`."""
    if entry.amount is not None and entry.amount.currency != order.currency:
        raise NotPossibleNow(f"The order is in {order.currency}. Enter the amount that came in it.")
    if entry.amount is not None and entry.amount.minor <= 0:
        raise NotPossibleNow("Enter an amount that is more than nothing. What went back is a refund.")
    payment_id = uuid7()
    amount = entry.amount.minor if entry.amount else None
    await happen(session, order, h.MarkedPaid(payment_id=payment_id, at=datetime.now(UTC), amount=amount), cause)
    row = next(payment for payment in order.payments if payment.id == payment_id)
    row.receipt, row.value_date, row.account = entry.reference, entry.value_date, entry.account
    await keep_searchable(session, order)
    record(session, order, "marked_paid", cause, **entry.model_dump(mode="json", exclude_none=True))
    await session.flush()
    return payment_id


async def reverse_entry(session: AsyncSession, order: Order, payment_id: UUID, reason: str, cause: Cause) -> None:
    """There never was any money: an order that was paid by it alone ends, and nobody is written to.

    Raises `PaymentNotFound`, or `NotPossibleNow` where it is not by staff, or some of it was refunded.
    """
    row = next((payment for payment in order.payments if payment.id == payment_id), None)
    if row is None:
        raise PaymentNotFound("The order has no payment with this id.")
    await happen(session, order, h.EntryReversed(payment_id=payment_id), cause)
    row.reason = reason
    record(session, order, "entry_reversed", cause, payment_id=str(payment_id), reason=reason)
    await session.flush()
