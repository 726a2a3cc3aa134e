"""Events as other services publish them, for tests of the services that listen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer
from uuid_utils.compat import uuid7

from contracts.accounts import OrganisationRegistered
from contracts.envelope import Event, EventData
from contracts.money import Money
from contracts.orders import (
    Customer,
    FunnelStage,
    LineKind,
    OrderCancelled,
    OrderDeleted,
    OrderInterested,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    OrderState,
    PaymentMethod,
    PaymentReceived,
    PaymentRefunded,
    PaymentStatus,
)
from contracts.ticketing import (
    Holder,
    ShowCreated,
    ShowStatus,
    Ticket,
    TicketDocument,
    TicketsIssued,
    TicketsVoided,
)

D = TypeVar("D", bound=EventData)

NOON = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)


def event(data: D, organisation: UUID | None, *, version: int = 1, time: datetime = NOON) -> Event[D]:
    return Event(id=uuid7(), data=data, organisation=organisation, aggregate_version=version, time=time)


def organisation_registered(organisation: UUID, **settings: Any) -> Event[OrganisationRegistered]:
    values = {
        "organisation_id": organisation,
        "slug": f"theatre-{organisation.hex[:6]}",
        "name": "Театр Франка",
        "currency": "UAH",
        "locale": "uk",
        "time_zone": "Europe/Kyiv",
        "phone_region": "UA",
        "staff_email": "desk@example.com",
    }
    version = settings.pop("version", 1)
    return event(OrganisationRegistered(**{**values, **settings}), organisation, version=version)


def show_created(organisation: UUID, show: UUID, *, name: str = "Лісова пісня") -> Event[ShowCreated]:
    data = ShowCreated(
        show_id=show,
        name=name,
        starts_at=NOON + timedelta(days=30),
        hall_id=uuid4(),
        hall_name="Велика сцена",
        status=ShowStatus.DRAFT,
        currency="UAH",
        price_zones=(),
        capacity=800,
    )
    return event(data, organisation)


class OrderStory:
    """One order, told event by event: `story.placed()`, `story.paid()`; `story.events` has them in order.

    Each step happens an hour after the one before.
    """

    def __init__(
        self,
        organisation: UUID,
        *,
        show: UUID | None = None,
        minor: int = 12_500,
        seats: int = 1,
        currency: str = "UAH",
        customer: Customer | None = None,
        number: str | None = None,
        at: datetime = NOON,
        **state: Any,
    ) -> None:
        self.organisation = organisation
        self.order_id = uuid4()
        self.payment_id = uuid4()
        self.show = show
        self.number = number or f"F-{self.order_id.hex[:8].upper()}"
        self.currency = currency
        self.customer = customer or Customer(name="Олена Шевченко", email="olena@example.com", phone="067 123 45 67")
        self.price = Money(minor=minor, currency=currency)
        self.total = self.price * seats
        self.seats = seats
        self.at = at
        self.created_at = at
        self.version = 0
        self.payments = 0
        self.refunded = Money.zero(currency)
        self.received = Money.zero(currency)
        self.state = state
        self.lines = tuple(
            OrderLine(
                line_id=uuid4(),
                kind=LineKind.SEAT if show else LineKind.GOODS,
                reference=f"seat-{n}",
                title=f"Parterre, row 1, seat {n}" if show else "Програмка",
                unit_price=self.price,
                total=self.price,
            )
            for n in range(seats)
        )
        self.tickets = tuple(
            Ticket(
                ticket_id=uuid4(),
                number=f"{self.number}-{n}",
                seat=f"seat-{n}",
                label=f"row 1, seat {n}",
                zone_name="Parterre",
                price=self.price,
                holder=Holder(name=self.customer.name, email=self.customer.email),
            )
            for n in range(seats)
        )
        self.events: list[Event[Any]] = []

    def interested(self) -> Event[Any]:
        return self._order(OrderInterested, FunnelStage.INTERESTED, PaymentStatus.NOT_PAID, customer=None)

    def placed(self) -> Event[Any]:
        return self._order(
            OrderPlaced,
            FunnelStage.AWAITING_PAYMENT,
            PaymentStatus.NOT_PAID,
            pay_by=self.created_at + timedelta(minutes=15),
        )

    def paid(self) -> Event[Any]:
        """The payment is received and the order is paid."""
        self.received = self.total
        self._payment(PaymentReceived, self.total)
        return self._order(OrderPaid, FunnelStage.PAID, PaymentStatus.MONEY_RECEIVED)

    def issued(self) -> Event[Any]:
        document = TicketDocument(
            recipient=self.tickets[0].holder,
            ticket_ids=tuple(ticket.ticket_id for ticket in self.tickets),
            url="http://127.0.0.1:8000/api/ticketing/documents/token",
        )
        return self._add(
            TicketsIssued(
                order_id=self.order_id,
                show_id=self._show,
                show_name="Лісова пісня",
                starts_at=NOON + timedelta(days=30),
                hall_name="Велика сцена",
                tickets=self.tickets,
                documents=(document,),
            )
        )

    def refund(self, seats: int | None = None) -> Event[Any]:
        """Gives back the money of all seats, or of the first ones that are left."""
        count = self.seats if seats is None else seats
        amount = self.price * count
        self.refunded = self.refunded + amount
        full = self.refunded == self.received
        refund_id = uuid4()
        if self.show:
            self._add(
                TicketsVoided(
                    order_id=self.order_id,
                    show_id=self.show,
                    show_name="Лісова пісня",
                    starts_at=NOON + timedelta(days=30),
                    tickets=self.tickets[:count],
                    reason="refunded",
                    request_id=refund_id,
                )
            )
        self._payment(PaymentRefunded, amount, refund_id=refund_id, reason="asked by the buyer")
        return self._order(
            OrderRefunded,
            FunnelStage.CANCELLED if full else FunnelStage.PAID,
            PaymentStatus.MONEY_REFUNDED if full else PaymentStatus.PARTIALLY_REFUNDED,
            refund_id=refund_id,
            amount=amount,
            line_ids=tuple(line.line_id for line in self.lines[:count]),
            full=full,
        )

    def cancelled(self) -> Event[Any]:
        return self._order(
            OrderCancelled, FunnelStage.CANCELLED, PaymentStatus.NOT_PAID, was_paid=False, reason="changed plans"
        )

    def deleted(self) -> Event[Any]:
        last = next(e.data for e in reversed(self.events) if isinstance(e.data, OrderState))
        return self._order(OrderDeleted, last.stage, last.payment_status)

    @property
    def _show(self) -> UUID:
        assert self.show is not None, "only orders of a show have tickets"
        return self.show

    def _order(self, kind: type[OrderState], stage: FunnelStage, status: PaymentStatus, **more: Any) -> Event[Any]:
        self.version += 1
        values: dict[str, Any] = {
            "order_id": self.order_id,
            "number": self.number,
            "stage": stage,
            "payment_status": status,
            "payment_method": PaymentMethod.CARD,
            "currency": self.currency,
            "total": self.total,
            "paid": self.received,
            "refunded": self.refunded,
            "customer": self.customer,
            "show_id": self.show,
            "title": "Лісова пісня" if self.show else "Програмка",
            "lines": self.lines,
            "locale": "uk",
            "created_at": self.created_at,
        }
        return self._add(kind(**{**values, **self.state, **more}), self.version)

    def _payment(self, kind: type[Any], amount: Money, **more: Any) -> Event[Any]:
        self.payments += 1
        return self._add(
            kind(
                payment_id=self.payment_id,
                order_id=self.order_id,
                order_number=self.number,
                provider="sandbox",
                amount=amount,
                **more,
            ),
            self.payments,
        )

    def _add(self, data: EventData, version: int = 1) -> Event[Any]:
        made = event(data, self.organisation, version=version, time=self.at)
        self.at += timedelta(hours=1)
        self.events.append(made)
        return made


async def publish(bootstrap_servers: str, events: Iterable[Event[Any]]) -> None:
    """Sends events as a relay would, in the order given."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True)
    await producer.start()
    try:
        for one in events:
            await producer.send(one.topic, one.data.to_json(), key=one.key, headers=one.headers())
        await producer.flush()
    finally:
        await producer.stop()
