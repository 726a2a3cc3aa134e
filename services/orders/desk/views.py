"""What the API answers: the row of a list (ORD-8..13), the order card (ORD-23..26), and their words."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from contracts.money import Money
from contracts.orders import FunnelStage, OrderLine, PaymentMethod, PaymentStatus
from services.orders.known import Undelivered
from services.orders.order import links
from services.orders.order.status import FREE, METHOD_LABELS, OrderStatus, label_of, status_of
from services.orders.order.tables import HistoryEntry, Note, Order
from services.orders.order.tables import OrderLine as LineRow
from services.orders.order.told import line_told
from services.orders.payments.tables import Payment, Refund
from services.orders.process.state import MANUAL, DisputeStage, LineState, Origin, RefundStage


class Registered(BaseModel):
    """What the person entered when registering on the platform: the lower row (ORD-26, REG-6)."""

    name: str
    email: str
    phone: str | None


class PersonView(BaseModel):
    name: str
    email: str | None
    phone: str | None
    registered: Registered | None = None
    """None while nobody with this e-mail has registered (GAP-9), and for buyers."""


class LineView(OrderLine):
    zone: str | None
    state: LineState
    ticket_number: str | None
    """REG-5."""
    registered: Registered | None = None


class PaymentView(BaseModel):
    payment_id: UUID
    payment_system: str
    stage: str
    amount: Money
    reason: str | None
    redirect_url: str | None
    created_at: datetime
    reference: str | None
    """Of the transfer or receipt of money that staff took; the provider's id of a card payment."""
    value_date: date | None
    account: str | None
    """The bank account or cash desk that has the money, as staff entered it."""
    disputes: list[DisputeView]


class DisputeView(BaseModel):
    """A buyer asked a bank for the money of a payment."""

    dispute_id: UUID
    amount: Money
    stage: DisputeStage
    reason: str
    opened_at: datetime | None
    decided_at: datetime | None


class RefundStatus(StrEnum):
    PENDING = "pending"
    """On its way, or to be sent by staff."""
    REFUSED = "refused"
    """By the provider, for good: staff send it in another way, or write it off."""
    DONE = "done"
    WRITTEN_OFF = "written_off"
    WITHDRAWN = "withdrawn"
    """Not owed any more, or it came back."""


REFUND_STATUSES = {
    RefundStage.PENDING: RefundStatus.PENDING,
    RefundStage.REFUSED: RefundStatus.REFUSED,
    RefundStage.DONE: RefundStatus.DONE,
    RefundStage.SENT: RefundStatus.DONE,
    RefundStage.WRITTEN_OFF: RefundStatus.WRITTEN_OFF,
    RefundStage.WITHDRAWN: RefundStatus.WITHDRAWN,
}


class RefundView(BaseModel):
    refund_id: UUID
    payment_id: UUID
    amount: Money
    line_ids: list[UUID]
    status: RefundStatus
    origin: Origin
    """`order`: asked for here. `provider`: made at its dashboard. `dispute`: a bank decided so."""
    by_hand: bool
    """Staff send it back, and confirm that they have."""
    done: bool
    reason: str | None
    """Why the provider refused it, or why staff wrote it off."""
    value_date: date | None
    reference: str | None
    """Of the provider's refund, or of the transfer by which staff sent it back."""
    created_at: datetime
    done_at: datetime | None


class Document(BaseModel):
    recipient: str
    url: str


class NoteView(BaseModel):
    note_id: UUID
    text: str
    author: str
    created_at: datetime


class UndeliveredView(BaseModel):
    """A message that was refused for good, given up, or came back: staff must act."""

    message_id: UUID
    template: str
    channel: str
    reason: str
    at: datetime


class OrderRow(BaseModel):
    """A row of the orders table."""

    id: UUID
    number: str
    version: int
    stage: FunnelStage
    status: OrderStatus | None
    label: str
    colour: str
    payment_status: PaymentStatus
    payment_method: PaymentMethod | None
    payment_method_label: str | None
    currency: str
    total: Money
    paid: Money
    refunded: Money
    refund_due: Money
    """What staff must still send back by hand, and confirm."""
    disputed: Money
    """What banks have taken until they decide."""
    missing: Money
    """What the buyer still has to give."""
    customer: PersonView | None
    title: str
    show_id: UUID | None
    offer_id: UUID | None
    quantity: int
    """Number of registrations, or of goods (ORD-9)."""
    created_at: datetime
    paid_at: datetime | None
    overpaid: bool
    already_paid: bool = False
    """The same customer has another paid order of the same show or offer (ORD-36)."""
    actions: list[str]
    """What can be done with it now (ORD-8, ORD-11)."""


class OrderCard(OrderRow):
    """Everything about one order (ORD-23, ORD-24)."""

    source: str
    locale: str
    starts_at: datetime | None
    pay_by: datetime | None
    placed_at: datetime | None
    held_at: datetime | None
    confirmed_at: datetime | None
    cancelled_at: datetime | None
    money_refunded_at: datetime | None
    cancelled_from: FunnelStage | None
    cancel_reason: str | None
    cancel_note: str | None
    lines: list[LineView]
    payments: list[PaymentView]
    refunds: list[RefundView]
    documents: list[Document]
    notes: list[NoteView] = []
    undelivered: list[UndeliveredView] = []
    """Messages that did not reach their recipient, newest first; empty for buyers."""
    order_url: str


class HistoryView(BaseModel):
    at: datetime
    actor: str
    what: str
    details: dict[str, Any]
    version: int


def row_view(order: Order, quantity: int) -> dict[str, Any]:
    label, colour = label_of(order)
    return {
        "id": order.id,
        "number": order.number,
        "version": order.version,
        "stage": order.stage or FunnelStage.INTERESTED,
        "status": status_of(order),
        "label": label,
        "colour": colour,
        "payment_status": order.payment_status,
        "payment_method": order.payment_method,
        "payment_method_label": FREE if order.is_free else METHOD_LABELS.get(order.payment_method or ""),
        "currency": order.currency,
        "total": order.money(order.total),
        "paid": order.money(order.paid),
        "refunded": order.money(order.refunded),
        "refund_due": order.money(order.refund_due),
        "disputed": order.money(order.disputed),
        "missing": order.money(order.missing),
        "customer": PersonView(name=order.customer_name, email=order.customer_email, phone=order.customer_phone)
        if order.customer_name
        else None,
        "title": order.title,
        "show_id": order.show_id,
        "offer_id": order.offer_id,
        "quantity": quantity,
        "created_at": order.created_at,
        "paid_at": order.paid_at,
        "overpaid": order.overpaid,
        "actions": actions_of(order),
    }


def actions_of(order: Order) -> list[str]:
    actions = ["open", "note"]
    if order.stage == FunnelStage.AWAITING_PAYMENT:
        actions += ["mark-paid", "enter-payment", "cancel"]
    elif order.stage == FunnelStage.PAID:
        actions += ["refund", "cancel"]
    elif order.stage == FunnelStage.INTERESTED:
        actions += ["cancel"]
    if order.refund_due:
        actions += ["confirm-refund", "write-off-refund"]
    if order.deleted_at is not None:
        return ["open"]
    has_money = order.paid > order.refunded or order.disputed or order.payment_status == PaymentStatus.HOLD
    return actions if order.stage == FunnelStage.PAID or has_money else [*actions, "delete"]


def card_view(
    order: Order, notes: list[Note], registered: dict[str, Registered], undelivered: list[Undelivered]
) -> OrderCard:
    """`registered` holds the accounts of the order's people by e-mail; all three are empty for buyers."""
    row = row_view(order, sum(line.quantity for line in order.lines))
    if row["customer"] is not None:
        row["customer"].registered = registered.get(order.customer_email or "")
    return OrderCard(
        **row,
        source=order.source,
        locale=order.locale,
        starts_at=order.starts_at,
        pay_by=order.pay_by,
        placed_at=order.placed_at,
        held_at=order.held_at,
        confirmed_at=order.confirmed_at,
        cancelled_at=order.cancelled_at,
        money_refunded_at=order.money_refunded_at,
        cancelled_from=FunnelStage(order.cancelled_from) if order.cancelled_from else None,
        cancel_reason=order.cancel_reason,
        cancel_note=order.cancel_note,
        lines=[_line(order, line, registered) for line in order.lines],
        payments=[_payment(order, payment) for payment in order.payments],
        refunds=[_refund(order, refund) for refund in order.refunds],
        documents=[Document(**document) for document in order.documents],
        notes=[note_view(note) for note in notes],
        undelivered=[UndeliveredView.model_validate(row, from_attributes=True) for row in undelivered],
        order_url=links.order_url(order.id, order.organisation),
    )


def _line(order: Order, line: LineRow, registered: dict[str, Registered]) -> LineView:
    return LineView.model_validate(
        {
            **line_told(order, line).model_dump(),
            "zone": line.zone,
            "state": LineState(line.state),
            "ticket_number": line.ticket_number,
            "registered": registered.get(line.participant_email or ""),
        }
    )


def _payment(order: Order, payment: Payment) -> PaymentView:
    return PaymentView(
        payment_id=payment.id,
        payment_system=payment.provider,
        stage=payment.stage,
        amount=order.money(payment.amount or payment.asked),
        reason=payment.reason,
        redirect_url=payment.redirect_url if payment.stage == "open" else None,
        created_at=payment.created_at,
        reference=payment.receipt or payment.reference,
        value_date=payment.value_date,
        account=payment.account,
        disputes=[_dispute(order, dispute) for dispute in payment.disputes],
    )


def _dispute(order: Order, dispute: dict[str, Any]) -> DisputeView:
    return DisputeView(
        dispute_id=dispute["id"],
        amount=order.money(dispute["amount"]),
        stage=dispute["stage"],
        reason=dispute["reason"],
        opened_at=dispute.get("open_at"),
        decided_at=dispute.get("won_at") or dispute.get("lost_at"),
    )


def _refund(order: Order, refund: Refund) -> RefundView:
    payment = next(payment for payment in order.payments if payment.id == refund.payment_id)
    stage = RefundStage(refund.stage)
    return RefundView(
        refund_id=refund.id,
        payment_id=refund.payment_id,
        amount=order.money(refund.amount),
        line_ids=refund.line_ids,
        status=REFUND_STATUSES[stage],
        origin=Origin(refund.origin),
        by_hand=payment.provider == MANUAL or stage in (RefundStage.REFUSED, RefundStage.SENT),
        done=refund.done,
        reference=refund.reference,
        reason=refund.reason,
        value_date=refund.value_date,
        created_at=refund.created_at,
        done_at=refund.done_at,
    )


def note_view(note: Note) -> NoteView:
    return NoteView(note_id=note.id, text=note.text, author=note.author, created_at=note.created_at)


def history_view(entry: HistoryEntry) -> HistoryView:
    return HistoryView(at=entry.at, actor=entry.actor, what=entry.what, details=entry.details, version=entry.version)
