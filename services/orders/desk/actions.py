"""What staff do to an order (section 1.6): each a verb in the caller's transaction."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from chassis import outbox
from contracts.orders import FunnelStage, OrderDeleted
from services.orders.buying.contacts import Person, contact, region_of
from services.orders.errors import NotPossibleNow, RefundNotFound
from services.orders.order import Cause, changed, happen, record
from services.orders.order.tables import Note, Order
from services.orders.order.told import order_fields
from services.orders.payments.tables import Refund
from services.orders.process import happenings as h
from services.orders.process.state import CancelReason, Delivery, PaymentStage
from services.orders.settings import Settings


async def cancel_order(session: AsyncSession, order: Order, reason: CancelReason, cause: Cause, note: str = "") -> None:
    """Unpaid: nobody is told (ORD-52). Paid: tickets become void, participants are told, money goes back (ORD-53)."""
    await happen(session, order, h.CancelAsked(request_id=uuid7(), reason=reason, note=note), cause)
    order.cancel_note = note or None


async def refund_order(
    session: AsyncSession,
    order: Order,
    line_ids: list[UUID] | None,
    parts: tuple[h.PartAsked, ...],
    reason: str,
    cause: Cause,
) -> UUID:
    """Full or partial refund, by lines or parts of lines (ORD-57): the money follows the void tickets.

    Returns the id of the request.
    """
    request = uuid7()
    lines = tuple(dict.fromkeys(line_ids)) if line_ids is not None else None
    await happen(session, order, h.RefundAsked(request_id=request, line_ids=lines, parts=parts), cause)
    texts = [str(line) for line in lines] if lines else None
    details = {"parts": [_part(part) for part in parts]} if parts else {}
    record(session, order, "refund_asked", cause, request_id=str(request), reason=reason, lines=texts, **details)
    return request


def _part(part: h.PartAsked) -> dict[str, Any]:
    asked = {"line": str(part.line_id), "quantity": part.quantity, "fee": part.fee or None, "amount": part.amount}
    return {name: value for name, value in asked.items() if value is not None}


async def confirm_refund(
    session: AsyncSession,
    order: Order,
    refund_id: UUID,
    cause: Cause,
    reference: str | None = None,
    value_date: date | None = None,
) -> None:
    """Staff have sent back money that came by hand, or that the provider refused to send: only now is it refunded, and
    the buyer told so (ORD-57).

    Raises `RefundNotFound`, or `NotPossibleNow` where it was settled before or a provider sends it.
    """
    row = _refund_of(order, refund_id)
    await happen(session, order, h.RefundConfirmed(refund_id=refund_id), cause)
    row.reference, row.value_date = reference, value_date
    details = {"reference": reference} if reference else {}
    if value_date:
        details["value_date"] = value_date.isoformat()
    record(session, order, "refund_confirmed", cause, refund_id=str(refund_id), **details)
    await session.flush()


async def write_off_refund(session: AsyncSession, order: Order, refund_id: UUID, reason: str, cause: Cause) -> None:
    """The money is owed and will never be sent. Raises as `confirm_refund` does."""
    row = _refund_of(order, refund_id)
    await happen(session, order, h.RefundWrittenOff(refund_id=refund_id), cause)
    row.reason = reason
    record(session, order, "refund_written_off", cause, refund_id=str(refund_id), reason=reason)
    await session.flush()


def _refund_of(order: Order, refund_id: UUID) -> Refund:
    row = next((refund for refund in order.refunds if refund.id == refund_id), None)
    if row is None:
        raise RefundNotFound("The order has no refund with this id.")
    return row


async def add_note(session: AsyncSession, order: Order, text: str, cause: Cause) -> Note:
    """ORD-47. A note is an edit like any other: the version grows, so a stale page notices."""
    note = Note(
        id=uuid7(),
        organisation=order.organisation,
        order_id=order.id,
        text=text,
        author=cause.actor,
        created_at=datetime.now(UTC),
    )
    session.add(note)
    order.version += 1
    record(session, order, "note", cause, text=text)
    await session.flush()
    return note


async def delete_order(session: AsyncSession, order: Order, cause: Cause) -> None:
    """Out of the lists, with an audit record (ORD-54, GAP-21). Raises `NotPossibleNow` while it has tickets or money.

    An order that awaits payment is cancelled first, so that its seats are free and no card page stays open.
    """
    if order.deleted_at is not None:
        raise NotPossibleNow("The order was already deleted.")
    held = any(payment.stage == PaymentStage.HELD for payment in order.payments)
    if order.stage == FunnelStage.PAID or order.paid > order.refunded or order.disputed or held:
        raise NotPossibleNow("The order has tickets or money. Cancel or refund it first.", stage=order.stage)
    if order.stage == FunnelStage.AWAITING_PAYMENT:
        await cancel_order(session, order, CancelReason.DELETED, cause)
    order.deleted_at, order.deleted_by = datetime.now(UTC), cause.actor
    order.version += 1
    deleted = OrderDeleted(**order_fields(order))
    outbox.add(session, deleted, organisation=order.organisation, version=order.version, correlation_id=str(order.id))
    record(session, order, "deleted", cause)
    await session.flush()


class PersonChange(Person):
    line_id: UUID


class OrderChange(BaseModel):
    """Contact data may be corrected at any time; the names on tickets only until the order is paid."""

    model_config = ConfigDict(extra="forbid")

    customer: Person | None = None
    participants: list[PersonChange] = Field(default_factory=list, max_length=1000)


async def change_order(
    session: AsyncSession, order: Order, change: OrderChange, cause: Cause, settings: Settings
) -> None:
    """ORD-59. The history says who was called what before (ORD-66). Raises `BadContact` or `NotPossibleNow`."""
    before = _contacts(order)
    region = await region_of(session, order.organisation, settings.phone_region)
    if change.customer is not None:
        customer = contact(change.customer, region, "the customer")
        order.customer_name, order.customer_email = customer.name, customer.email
        order.customer_phone = customer.phone
    rows = {row.id: row for row in order.lines}
    for person in change.participants:
        row = rows.get(person.line_id)
        if row is None or row.ticket_number is not None or order.delivery != Delivery.NOTHING:
            # Asked for with `OrderPaid`, a ticket is printed with the name in it.
            raise NotPossibleNow("The ticket exists or is being made, or the line is not part of the order.")
        holder = contact(person, region, person.name)
        row.participant_name = holder.name
        row.participant_email, row.participant_phone = holder.email, holder.phone
    changes = [
        {"of": of, "field": field, "before": before[of, field], "after": value}
        for (of, field), value in _contacts(order).items()
        if value != before[of, field]
    ]
    await changed(session, order, "changed", cause, changes=changes)


def _contacts(order: Order) -> dict[tuple[str, str], str | None]:
    """Every name, address and number of an order: of the customer, or of the participant of a line by its id."""
    people = {"customer": (order.customer_name, order.customer_email, order.customer_phone)}
    for line in order.lines:
        people[str(line.id)] = line.participant_name, line.participant_email, line.participant_phone
    fields = ("name", "email", "phone")
    return {(of, field): value for of, known in people.items() for field, value in zip(fields, known, strict=True)}
