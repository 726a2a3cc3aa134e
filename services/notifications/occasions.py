"""Which event is an occasion for which messages: pure functions from event to drafts.

What is not here is not sent: an order that was cancelled or expired unpaid (NTF-5), a wish-list entry or a watched
price (NTF-6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.accounts import LetterRequested
from contracts.money import Money
from contracts.orders import (
    EnrolmentOpened,
    FunnelStage,
    LineKind,
    OrderCancelled,
    OrderLine,
    OrderRefunded,
    OrderState,
    PaymentMethod,
    PaymentRefundDue,
)
from contracts.ticketing import Ticket, TicketDocument, TicketsIssued, TicketsVoided
from services.notifications.letters import Template
from services.notifications.messages import Draft, Person

TICKETS = (LineKind.SEAT, LineKind.PLACE)


def tickets_issued(event: TicketsIssued) -> list[Draft]:
    """The tickets of each recipient, as one PDF (NTF-2, REG-9)."""
    return [
        Draft(
            template=Template.TICKETS_ISSUED,
            transition=f"{event.order_id}:{_digest(document.ticket_ids)}",
            to=_person(document),
            order_id=event.order_id,
            documents=(document.url,),
            params=_tickets(event, document),
        )
        for document in event.documents
    ]


def reminders(event: TicketsIssued, starts_at: datetime, hours: int, now: datetime) -> list[Draft]:
    """A reminder for each recipient, `hours` before the show; none when that moment has passed (NTF-3).

    With 0 hours it waits for the beginning, when it is no longer true: staff may choose otherwise until then.
    """
    due_at = starts_at - timedelta(hours=hours)
    if due_at <= now:
        return []
    return [
        Draft(
            template=Template.SHOW_REMINDER,
            transition=f"{event.order_id}:{_digest(document.ticket_ids)}",
            to=_person(document),
            order_id=event.order_id,
            show_id=event.show_id,
            due_at=due_at,
            params={**_tickets(event, document), "hours": hours},
        )
        for document in event.documents
    ]


def order_placed(event: OrderState, pay_by: datetime, since: datetime, delay_seconds: float) -> list[Draft]:
    """The link to pay, for a buyer who has not paid by card a while after `since`; with an invoice, at once."""
    if event.customer is None or event.payment_method is PaymentMethod.MANUAL:
        return []
    invoice = event.payment_method is PaymentMethod.INVOICE
    return [
        Draft(
            template=Template.ORDER_PLACED,
            transition=str(event.order_id),
            to=_customer(event),
            order_id=event.order_id,
            due_at=since if invoice else since + timedelta(seconds=delay_seconds),
            params={
                **_order(event),
                "payment_method": str(event.payment_method),
                "pay_by": pay_by.isoformat(),
                "order_url": event.order_url,
            },
        )
    ]


def invoice_ordered(event: OrderState, pay_by: datetime | None) -> list[Draft]:
    """Tells the organisation's staff that somebody ordered an invoice (NTF-1, ORD-112)."""
    if event.payment_method is not PaymentMethod.INVOICE or event.stage is not FunnelStage.AWAITING_PAYMENT:
        return []
    return [
        Draft(
            template=Template.INVOICE_ORDERED,
            transition=str(event.order_id),
            to=None,
            order_id=event.order_id,
            params={
                **_order(event),
                "pay_by": pay_by.isoformat() if pay_by else None,
                "customer": asdict(_customer(event)),
            },
        )
    ]


def order_cancelled(event: OrderCancelled) -> list[Draft]:
    """Tells each participant that the ticket is cancelled, if the order was paid (NTF-4, ORD-53, REG-10)."""
    if not event.was_paid:
        return []
    together: dict[object, tuple[Person, list[OrderLine]]] = {}
    for line in event.lines:
        if line.given and line.returned >= line.quantity and line.kind in TICKETS:
            # Its holder was told when it became void.
            continue
        person = _participant(line, event)
        together.setdefault(person.reach() or person, (person, []))[1].append(line)
    return [
        Draft(
            template=Template.ORDER_CANCELLED,
            transition=str(event.order_id),
            to=person,
            order_id=event.order_id,
            params={
                **_order(event, lines),
                "tickets": any(line.kind in TICKETS for line in lines),
            },
        )
        for person, lines in together.values()
    ]


def tickets_voided(event: TicketsVoided, customer: Person | None) -> list[Draft]:
    """Tells each holder that the ticket is void, whatever the cause.

    Of a cancelled order all hear by `order_cancelled`, and the buyer of a refund by `order_refunded`.
    """
    if event.reason == "cancelled":
        return []
    together: dict[object, tuple[Person, list[Ticket]]] = {}
    for ticket in event.tickets:
        person = Person(ticket.holder.name, ticket.holder.email, ticket.holder.phone)
        together.setdefault(person.reach() or person, (person, []))[1].append(ticket)
    if event.reason == "refunded" and customer is not None:
        together.pop(customer.reach(), None)
    return [
        Draft(
            template=Template.ORDER_CANCELLED,
            transition=f"{event.request_id}:{event.hold_id or event.order_id}",
            to=person,
            order_id=event.order_id,
            params={
                "title": event.show_name,
                "starts_at": event.starts_at.isoformat(),
                "lines": [{"title": ticket.label, "total": _money(ticket.price)} for ticket in tickets],
                "tickets": True,
                "whole": False,
            },
        )
        for person, tickets in together.values()
    ]


def order_refunded(event: OrderRefunded) -> list[Draft]:
    """Tells the buyer how much money went back: the amount of the ledger's entry (ORD-57)."""
    if event.amount.minor <= 0:
        return []
    returned = [line for line in event.lines if line.line_id in set(event.line_ids)]
    return [
        Draft(
            template=Template.ORDER_REFUNDED,
            transition=str(event.refund_id),
            to=_customer(event),
            order_id=event.order_id,
            params={
                **_order(event, returned),
                "amount": _money(event.amount),
                "full": event.full,
                "order_url": event.order_url,
            },
        )
    ]


def refund_due(event: PaymentRefundDue, customer: Person | None) -> list[Draft]:
    """Tells staff that money which came by hand is to be sent back by them (ORD-57)."""
    return [
        Draft(
            template=Template.REFUND_DUE,
            transition=str(event.refund_id),
            to=None,
            order_id=event.order_id,
            params={
                "number": event.order_number,
                "amount": _money(event.amount),
                "customer": asdict(customer or Person("")),
            },
        )
    ]


def course_access(event: EnrolmentOpened, customer: Person | None) -> list[Draft]:
    """Gives the student access to the course (NTF-9); the buyer's address serves where the student left none."""
    student = Person(event.student.name, event.student.email, event.student.phone)
    if student.reach() is None and customer is not None:
        student = Person(student.name or customer.name, customer.email, customer.phone)
    return [
        Draft(
            template=Template.COURSE_ACCESS,
            transition=str(event.enrolment_id),
            to=student,
            order_id=event.order_id,
            locale=event.locale,
            params={"course": event.course, "number": event.order_number, "access_url": event.access_url},
        )
    ]


def letter_requested(event: LetterRequested) -> Draft:
    """A link to the account of an address. What makes it one is added when the mail is written, and kept nowhere."""
    return Draft(
        template=Template(event.kind.value),
        transition=str(event.letter_id),
        to=Person(event.name, event.email),
        locale=event.locale,
        params={"letter_id": str(event.letter_id), "expires_at": event.expires_at.isoformat()},
    )


def order_data(
    event: OrderState, request: UUID, documents: Sequence[dict[str, str]], starts_at: datetime | None
) -> Draft:
    """The order's data once more for the buyer, because staff asked for it (NTF-10, ORD-58, TKT-23)."""
    return Draft(
        template=Template.ORDER_DATA,
        transition=f"{event.order_id}:{request}",
        to=_customer(event),
        order_id=event.order_id,
        locale=event.locale,
        params={
            **_order(event),
            "paid": _money(event.paid),
            "refunded": _money(event.refunded),
            "payment_status": str(event.payment_status),
            "order_url": event.order_url,
            "documents": list(documents),
            "starts_at": starts_at.isoformat() if starts_at else None,
        },
    )


def _order(event: OrderState, lines: Iterable[OrderLine] | None = None) -> dict[str, Any]:
    shown = event.lines if lines is None else lines
    return {
        "number": event.number,
        "title": event.title,
        "total": _money(event.total),
        "lines": [{"title": line.title, "total": _money(line.total)} for line in shown],
    }


def _tickets(event: TicketsIssued, document: TicketDocument) -> dict[str, Any]:
    mine: list[Ticket] = [ticket for ticket in event.tickets if ticket.ticket_id in document.ticket_ids]
    return {
        "show_name": event.show_name,
        "starts_at": event.starts_at.isoformat(),
        "hall_name": event.hall_name,
        "document_url": document.url,
        "ticket_ids": [str(ticket.ticket_id) for ticket in mine],
        "tickets": [
            {"number": ticket.number, "label": ticket.label, "holder": {"name": ticket.holder.name}} for ticket in mine
        ],
    }


def _person(document: TicketDocument) -> Person:
    return Person(document.recipient.name, document.recipient.email, document.recipient.phone)


def _customer(event: OrderState) -> Person:
    customer = event.customer
    return Person(customer.name, customer.email, customer.phone) if customer else Person("")


def _participant(line: OrderLine, event: OrderState) -> Person:
    if line.participant is not None:
        person = Person(line.participant.name, line.participant.email, line.participant.phone)
        if person.reach() is not None:
            return person
    return _customer(event)


def _money(amount: Money) -> dict[str, Any]:
    return amount.model_dump(mode="json")


def _digest(ticket_ids: Iterable[UUID]) -> str:
    return hashlib.sha256(b"".join(sorted(ticket.bytes for ticket in ticket_ids))).hexdigest()[:16]
