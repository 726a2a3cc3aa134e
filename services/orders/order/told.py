"""The events of an order, built from its rows."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from contracts import orders as contract
from contracts.envelope import EventData
from contracts.orders import FunnelStage, GivenBy, LineKind, PaymentMethod, PaymentStatus
from services.orders.order import links
from services.orders.order.lines import refunded_of
from services.orders.order.tables import Order, OrderLine
from services.orders.process import Command
from services.orders.process.commands import (
    About,
    Money,
    RevokeTickets,
    Tell,
    TellCancelled,
    TellPayment,
    TellRefunded,
    TellTakenBack,
    Unclaim,
)

ORDER_EVENTS: dict[About, type[contract.OrderState]] = {
    About.INTERESTED: contract.OrderInterested,
    About.PAID: contract.OrderPaid,
    About.CONFIRMED: contract.OrderConfirmed,
    About.EXPIRED: contract.OrderExpired,
}
PAYMENT_EVENTS: dict[Money, type[contract.PaymentState]] = {
    Money.STARTED: contract.PaymentStarted,
    Money.HELD: contract.PaymentHeld,
    Money.RECEIVED: contract.PaymentReceived,
    Money.REVERSED: contract.PaymentReversed,
}


T = TypeVar("T")


def _known(value: T | None) -> T:
    """A placed order has its time, seats have a show, a refund has an id."""
    if value is None:
        raise TypeError("the order lacks what its event must say")
    return value


def event_of(order: Order, command: Command) -> EventData:
    """The event that a command asks for. Raises `TypeError` for a command that is no event."""
    if isinstance(command, Tell):
        if command.what is About.PLACED:
            # What costs nothing is paid the moment it is placed.
            return contract.OrderPlaced(**order_fields(order), pay_by=_known(order.pay_by or order.placed_at))
        if command.what is About.CHANGED:
            return changed_event(order)
        return ORDER_EVENTS[command.what](**order_fields(order))
    if isinstance(command, TellTakenBack):
        return changed_event(order)
    if isinstance(command, TellCancelled):
        return contract.OrderCancelled(**order_fields(order), was_paid=command.was_paid, reason=command.reason)
    if isinstance(command, Unclaim):
        show = _show_of(order, command.hold)
        return contract.SeatsUnclaimed(order_id=order.id, hold_id=_other(order, command.hold), show_id=show)
    if isinstance(command, RevokeTickets):
        return contract.TicketsRevoked(
            order_id=order.id,
            hold_id=_other(order, command.hold),
            show_id=_show_of(order, command.hold),
            request_id=command.request,
            seats=command.seats,
            places=tuple(contract.RevokedPlaces(line_id=line, quantity=n) for line, n in command.places),
            reason=command.reason,
        )
    if isinstance(command, TellRefunded):
        return contract.OrderRefunded(
            **order_fields(order),
            refund_id=command.refund,
            amount=order.money(command.amount),
            line_ids=command.line_ids,
            full=command.full,
        )
    if isinstance(command, TellPayment):
        return _payment_event(order, command)
    raise TypeError(f"{command!r} is not told")


def _show_of(order: Order, hold: UUID | None) -> UUID:
    return _known(next((row.show_id for row in order.lines if row.hold_id == hold and row.show_id), order.show_id))


def _other(order: Order, hold: UUID | None) -> UUID | None:
    """The hold, where its id is not the order's."""
    return hold if hold != order.id else None


def changed_event(order: Order) -> contract.OrderChanged:
    waits = order.stage == FunnelStage.AWAITING_PAYMENT
    return contract.OrderChanged(**order_fields(order), pay_by=order.pay_by if waits else None)


def _payment_event(order: Order, command: TellPayment) -> EventData:
    payment = next(row for row in order.payments if row.id == command.payment)
    fields: dict[str, Any] = {
        "payment_id": payment.id,
        "order_id": order.id,
        "order_number": order.number,
        "provider": payment.provider,
        "provider_reference": payment.reference,
        "amount": order.money(command.amount),
    }
    if command.what is Money.FAILED:
        return contract.PaymentFailed(**fields, reason=command.reason)
    if command.what is Money.REFUND_DUE:
        return contract.PaymentRefundDue(**fields, refund_id=_known(command.refund))
    if command.what is Money.REFUNDED:
        return contract.PaymentRefunded(**fields, refund_id=_known(command.refund), reason=command.reason)
    if command.what is Money.REFUND_FAILED:
        return contract.PaymentRefundFailed(
            **fields, refund_id=_known(command.refund), reason=command.reason, came_back=command.came_back
        )
    if command.what is Money.REFUND_WRITTEN_OFF:
        return contract.PaymentRefundWrittenOff(**fields, refund_id=_known(command.refund))
    if command.what is Money.DISPUTED:
        return contract.PaymentDisputed(**fields, dispute_id=_known(command.dispute), reason=command.reason)
    if command.what in (Money.DISPUTE_WON, Money.DISPUTE_LOST):
        won = command.what is Money.DISPUTE_WON
        return contract.PaymentDisputeDecided(**fields, dispute_id=_known(command.dispute), won=won)
    return PAYMENT_EVENTS[command.what](**fields)


def order_fields(order: Order) -> dict[str, Any]:
    """The whole order, as every order event carries it."""
    return {
        "order_id": order.id,
        "number": order.number,
        "stage": FunnelStage(order.stage or FunnelStage.INTERESTED),
        "payment_status": PaymentStatus(order.payment_status),
        "payment_method": PaymentMethod(order.payment_method) if order.payment_method else None,
        "currency": order.currency,
        "total": order.money(order.total),
        "paid": order.money(order.paid),
        "refunded": order.money(order.refunded),
        "customer": _customer(order),
        "show_id": order.show_id,
        "offer_id": order.offer_id,
        "title": order.title,
        "lines": tuple(_brief(order, line_told(order, row)) for row in order.lines),
        "locale": order.locale,
        "created_at": order.created_at,
        "order_url": links.order_url(order.id, order.organisation),
    }


def _brief(order: Order, line: contract.OrderLine) -> contract.OrderLine:
    """Without what 2,000 lines would say again and again: a line without a participant is for the customer, a ticket
    without a hold is of the one with the order's id."""
    who = line.participant
    same = who is not None and (who.name, who.email, who.phone) == (
        order.customer_name,
        order.customer_email,
        order.customer_phone,
    )
    told = {"participant": None if same else who, "hold_id": _other(order, line.hold_id)}
    return line.model_copy(update=told)


def _customer(order: Order) -> contract.Customer | None:
    if order.customer_name is None:
        return None
    return contract.Customer(
        name=order.customer_name,
        email=order.customer_email,
        phone=order.customer_phone,
        account_id=order.account_id,
    )


def line_told(order: Order, row: OrderLine) -> contract.OrderLine:
    holder = (
        contract.Participant(name=row.participant_name, email=row.participant_email, phone=row.participant_phone)
        if row.participant_name
        else None
    )
    return contract.OrderLine(
        line_id=row.id,
        kind=LineKind(row.kind),
        reference=row.reference,
        title=row.title,
        quantity=row.quantity,
        unit_price=order.money(row.unit_price),
        total=order.money(row.total),
        participant=holder,
        given_by=GivenBy(row.given_by),
        show_id=row.show_id,
        hold_id=row.hold_id,
        zone_name=row.zone,
        fare=row.fare,
        fare_name=row.fare_name,
        discount=order.money(row.discount) if row.discount else None,
        discount_reason=row.discount_reason,
        tax=order.money(row.tax) if row.tax_rate else None,
        tax_rate=row.tax_rate,
        given=row.given,
        returned=row.returned,
        refunded=order.money(refunded) if (refunded := refunded_of(order, row)) else None,
    )
