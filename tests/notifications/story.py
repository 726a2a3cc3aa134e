"""What happens to one order of a theatre, as the events that notifications hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts.accounts import OrganisationRegistered
from contracts.envelope import Event, EventData
from contracts.money import Money
from contracts.orders import (
    Customer,
    EnrolmentOpened,
    FunnelStage,
    LineKind,
    OrderCancelled,
    OrderChanged,
    OrderExpired,
    OrderInterested,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    OrderState,
    Participant,
    PaymentMethod,
    PaymentRefundDue,
    PaymentStatus,
)
from contracts.ticketing import (
    Holder,
    ShowChanged,
    ShowStatus,
    Ticket,
    TicketDocument,
    TicketsIssued,
    TicketsVoided,
)
from tests.events import event

PUBLIC = "http://127.0.0.1:8000"


def organisation(organisation_id: UUID, **settings: Any) -> Event[OrganisationRegistered]:
    values: dict[str, Any] = {
        "organisation_id": organisation_id,
        "slug": "franko",
        "name": "Театр Франка",
        "currency": "UAH",
        "locale": "uk",
        "time_zone": "Europe/Kyiv",
        "phone_region": "UA",
        "staff_email": "kasa@example.com",
        "staff_phone": "+380441234567",
    }
    return event(OrganisationRegistered(**{**values, **settings}), organisation_id, time=datetime.now(UTC))


class Story:
    """`guests` are the people on the tickets, one seat each; without one the buyer's own name stands there."""

    def __init__(
        self,
        organisation: UUID,
        *,
        guests: Sequence[Participant] = (),
        customer: Customer | None = None,
        locale: str = "uk",
        method: PaymentMethod = PaymentMethod.CARD,
        public: str = PUBLIC,
        starts_in: timedelta = timedelta(days=30),
        kind: LineKind = LineKind.SEAT,
    ) -> None:
        self.organisation = organisation
        self.order_id, self.show_id = uuid4(), uuid4()
        self.number = f"F-{self.order_id.hex[:6].upper()}"
        self.customer = customer or Customer(name="Олена Шевченко", email=f"olena-{self.order_id.hex[:6]}@example.com")
        self.locale, self.method, self.public = locale, method, public
        self.now = datetime.now(UTC)
        self.starts_at = self.now + starts_in
        self.version = 0
        people: Sequence[Participant | None] = guests or (None,)
        price = Money(minor=12_550, currency="UAH")
        self.total = price * len(people)
        self.lines = tuple(
            OrderLine(
                line_id=uuid4(),
                kind=kind,
                reference=f"seat-{n}",
                title=f"Партер, ряд 1, місце {n}",
                unit_price=price,
                total=price,
                participant=guest,
            )
            for n, guest in enumerate(people, 1)
        )
        self.tickets = tuple(
            Ticket(
                ticket_id=uuid4(),
                number=f"{self.number}-{n}",
                seat=f"seat-{n}",
                label=f"Партер, ряд 1, місце {n}",
                zone_name="Партер",
                price=price,
                holder=self._holder(guest),
            )
            for n, guest in enumerate(people, 1)
        )

    def interested(self) -> Event[Any]:
        return self._order(OrderInterested, FunnelStage.INTERESTED, PaymentStatus.NOT_PAID)

    def at_stage(self, stage: FunnelStage) -> Event[Any]:
        return self._order(OrderChanged, stage, PaymentStatus.NOT_PAID)

    def placed(self, pay_in: timedelta = timedelta(minutes=15)) -> Event[Any]:
        return self._order(OrderPlaced, FunnelStage.AWAITING_PAYMENT, PaymentStatus.NOT_PAID, pay_by=self.now + pay_in)

    def waits(self, pay_in: timedelta, **more: Any) -> Event[Any]:
        """Something of a placed order was changed: its method, the time to pay, the customer."""
        return self._order(
            OrderChanged,
            FunnelStage.AWAITING_PAYMENT,
            PaymentStatus.NOT_PAID,
            pay_by=self.now + pay_in,
            payment_method=self.method,
            **more,
        )

    def paid(self) -> Event[Any]:
        return self._order(OrderPaid, FunnelStage.PAID, PaymentStatus.MONEY_RECEIVED, paid=self.total)

    def expired(self) -> Event[Any]:
        return self._order(OrderExpired, FunnelStage.CANCELLED, PaymentStatus.NOT_PAID)

    def cancelled(self, *, was_paid: bool, void: Sequence[int] = ()) -> Event[Any]:
        """`void`: lines whose ticket was taken back before, counted from one."""
        lines = tuple(
            line.model_copy(update={"given": 1, "returned": int(n in void)}) for n, line in enumerate(self.lines, 1)
        )
        status = PaymentStatus.MONEY_RECEIVED if was_paid else PaymentStatus.NOT_PAID
        return self._order(
            OrderCancelled,
            FunnelStage.CANCELLED,
            status,
            was_paid=was_paid,
            reason="asked by the customer",
            lines=lines,
        )

    def refund_due(self, minor: int) -> Event[Any]:
        data = PaymentRefundDue(
            payment_id=uuid4(),
            order_id=self.order_id,
            order_number=self.number,
            provider="manual",
            amount=Money(minor=minor, currency="UAH"),
            refund_id=uuid4(),
        )
        return self._event(data)

    def refunded(self, minor: int | None = None, *, full: bool = True) -> Event[Any]:
        amount = self.total if minor is None else Money(minor=minor, currency="UAH")
        status = PaymentStatus.MONEY_REFUNDED if full else PaymentStatus.PARTIALLY_REFUNDED
        lines = self.lines if full else self.lines[:1]
        return self._order(
            OrderRefunded,
            FunnelStage.CANCELLED if full else FunnelStage.PAID,
            status,
            paid=self.total,
            refunded=amount,
            refund_id=uuid4(),
            amount=amount,
            line_ids=tuple(line.line_id for line in lines),
            full=full,
        )

    def issued(self) -> Event[Any]:
        """One document for each distinct address, as ticketing makes them."""
        together: dict[str, list[Ticket]] = {}
        for ticket in self.tickets:
            together.setdefault((ticket.holder.email or ticket.holder.phone or "").strip().lower(), []).append(ticket)
        documents = tuple(
            TicketDocument(
                recipient=tickets[0].holder,
                ticket_ids=tuple(ticket.ticket_id for ticket in tickets),
                url=f"{self.public}/api/ticketing/documents/{tickets[0].number}",
            )
            for tickets in together.values()
        )
        return self._event(
            TicketsIssued(
                order_id=self.order_id,
                show_id=self.show_id,
                show_name="Лісова пісня",
                starts_at=self.starts_at,
                hall_name="Велика сцена",
                tickets=self.tickets,
                documents=documents,
            )
        )

    def voided(self, *numbers: int, reason: str = "cancelled", request: UUID | None = None) -> Event[Any]:
        """The tickets of some seats, counted from one; all of them without any."""
        return self._event(
            TicketsVoided(
                order_id=self.order_id,
                show_id=self.show_id,
                show_name="Лісова пісня",
                starts_at=self.starts_at,
                tickets=tuple(self.tickets[n - 1] for n in numbers) or self.tickets,
                reason=reason,
                request_id=request or uuid4(),
            )
        )

    def moved(self, starts_at: datetime, status: ShowStatus = ShowStatus.ON_SALE) -> Event[Any]:
        data = ShowChanged(
            show_id=self.show_id,
            name="Лісова пісня",
            starts_at=starts_at,
            hall_id=uuid4(),
            hall_name="Велика сцена",
            status=status,
            currency="UAH",
            price_zones=(),
            capacity=800,
        )
        return self._event(data, version=2)

    def enrolled(self, course: str = "Вокал для початківців") -> Event[Any]:
        return self._event(
            EnrolmentOpened(
                enrolment_id=uuid4(),
                order_id=self.order_id,
                order_number=self.number,
                offer_id=uuid4(),
                course=course,
                student=Participant(name=self.customer.name, email=self.customer.email, phone=self.customer.phone),
                access_url=f"{self.public}/courses/1?access=abc",
                locale=self.locale,
            )
        )

    def _holder(self, guest: Participant | None) -> Holder:
        name = guest.name if guest else self.customer.name
        if guest and (guest.email or guest.phone):
            return Holder(name=name, email=guest.email, phone=guest.phone)
        return Holder(name=name, email=self.customer.email, phone=self.customer.phone)

    def _order(self, kind: type[OrderState], stage: FunnelStage, status: PaymentStatus, **more: Any) -> Event[Any]:
        self.version += 1
        zero = Money.zero("UAH")
        values: dict[str, Any] = {
            "order_id": self.order_id,
            "number": self.number,
            "stage": stage,
            "payment_status": status,
            "payment_method": self.method,
            "currency": "UAH",
            "total": self.total,
            "paid": zero,
            "refunded": zero,
            "customer": self.customer,
            "show_id": self.show_id,
            "title": "Лісова пісня",
            "lines": self.lines,
            "locale": self.locale,
            "created_at": self.now,
            "order_url": f"{self.public}/orders/{self.order_id}?key=secret",
        }
        return self._event(kind(**{**values, **more}), version=self.version)

    def _event(self, data: EventData, version: int = 1) -> Event[Any]:
        return event(data, self.organisation, version=version, time=self.now)
