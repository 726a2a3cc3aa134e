"""Events of ticketing that change seats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from contracts.envelope import Event, EventData
from contracts.money import Money
from contracts.ticketing import (
    HeldSeat,
    HoldEnd,
    Holder,
    HoldExtended,
    HoldPlaced,
    HoldReleased,
    ShowSaleStopped,
    ShowStatus,
    Ticket,
    TicketsIssued,
    TicketsVoided,
)

NOW = datetime(2026, 11, 22, 19, tzinfo=UTC)
PRICE = Money(minor=10000, currency="UAH")


def placed(show: UUID, hold: UUID, *seats: str) -> HoldPlaced:
    held = tuple(HeldSeat(seat=seat, label=seat, zone_id=hold, zone_name="A", price=PRICE) for seat in seats)
    return HoldPlaced(hold_id=hold, show_id=show, show_name="S", starts_at=NOW, seats=held, total=PRICE, expires_at=NOW)


def released(show: UUID, hold: UUID, *seats: str) -> HoldReleased:
    return HoldReleased(hold_id=hold, show_id=show, seats=seats, reason=HoldEnd.RELEASED)


def extended(show: UUID, hold: UUID, *seats: str) -> HoldExtended:
    return HoldExtended(hold_id=hold, show_id=show, expires_at=NOW, seats=seats)


def tickets(*seats: str) -> tuple[Ticket, ...]:
    holder = Holder(name="T")
    return tuple(
        Ticket(ticket_id=uuid4(), number="1", seat=seat, label=seat, zone_name="A", price=PRICE, holder=holder)
        for seat in seats
    )


def issued(show: UUID, order: UUID, *seats: str) -> TicketsIssued:
    return TicketsIssued(
        order_id=order, show_id=show, show_name="S", starts_at=NOW, hall_name="H", tickets=tickets(*seats), documents=()
    )


def voided(show: UUID, order: UUID, *seats: str) -> TicketsVoided:
    return TicketsVoided(
        order_id=order,
        show_id=show,
        show_name="S",
        starts_at=NOW,
        tickets=tickets(*seats),
        reason="refunded",
        request_id=uuid4(),
    )


def stopped(show: UUID) -> ShowSaleStopped:
    return ShowSaleStopped(
        show_id=show,
        name="S",
        starts_at=NOW,
        hall_id=uuid4(),
        hall_name="H",
        status=ShowStatus.SALES_STOPPED,
        currency="UAH",
        price_zones=(),
        capacity=1,
    )


def event(data: EventData, seconds: float = 0) -> Event[EventData]:
    return Event(id=uuid4(), data=data, organisation=uuid4(), time=NOW + timedelta(seconds=seconds))
