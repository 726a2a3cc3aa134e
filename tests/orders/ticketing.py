"""Ticketing as orders sees it: what it tells of holds and tickets, and what it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from uuid_utils.compat import uuid7

from chassis.keys import Signer
from chassis.tail import Tail
from contracts import orders, ticketing
from contracts.envelope import Event, EventData
from contracts.money import Money


@dataclass
class Hold:
    hold_id: UUID
    organisation: UUID
    show_id: UUID
    seats: tuple[ticketing.HeldSeat, ...]
    quote: str
    until: datetime
    starts_at: datetime
    places: tuple[ticketing.HeldPlaces, ...] = ()

    @property
    def total(self) -> int:
        return _total(self.seats, self.places)

    @property
    def placed(self) -> ticketing.HoldPlaced:
        return ticketing.HoldPlaced(
            hold_id=self.hold_id,
            show_id=self.show_id,
            show_name="Лісова пісня",
            starts_at=self.starts_at,
            seats=self.seats,
            places=self.places,
            total=Money(minor=self.total, currency="UAH"),
            expires_at=self.until,
        )


class Ticketing:
    """Answers orders' events as ticketing does, unless a test tells it to wait or refuse."""

    def __init__(self, bootstrap: str) -> None:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.signer = Signer(pem.decode(), "footlights-ticketing")
        self.producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        self.events: dict[UUID, list[Event[Any]]] = defaultdict(list)
        self.enrolments: dict[UUID, list[orders.EnrolmentOpened]] = defaultdict(list)
        self.silent: set[UUID] = set()
        """Orders whose events are not answered."""
        self.refusing: set[UUID] = set()
        self.dates: dict[UUID, datetime] = {}
        """When each show begins."""

    async def publish(self, data: EventData, organisation: UUID | None, version: int = 1) -> Event[Any]:
        event = Event(id=uuid7(), data=data, organisation=organisation, aggregate_version=version)
        await self.send(event)
        return event

    async def publish_at(self, data: EventData, organisation: UUID, time: datetime) -> None:
        """As if it had been told at another time."""
        await self.send(Event(id=uuid7(), data=data, organisation=organisation, aggregate_version=1, time=time))

    async def send(self, event: Event[Any]) -> None:
        await self.producer.send_and_wait(event.topic, event.data.to_json(), key=event.key, headers=event.headers())

    def hold(
        self,
        organisation: UUID,
        *,
        seats: int = 2,
        price: int = 12_500,
        show_id: UUID | None = None,
        invoice: bool = True,
        seconds: float = 600,
        zone: str = "Партер",
        starts_in: timedelta = timedelta(days=7),
        places: int = 0,
    ) -> Hold:
        hold_id = uuid7()
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        held = tuple(
            ticketing.HeldSeat(
                seat=f"seat-{hold_id.hex[-6:]}-{number}",
                label=f"Партер, ряд 1, місце {number}",
                zone_id=uuid4(),
                zone_name=zone,
                price=Money(minor=price, currency="UAH"),
            )
            for number in range(1, seats + 1)
        )
        standing = ticketing.HeldPlaces(
            area=uuid4(),
            label="Танцпол",
            zone_id=uuid4(),
            zone_name="Фан-зона",
            fare="child",
            fare_name="Дитячий",
            quantity=max(places, 1),
            price=Money(minor=3_333, currency="UAH"),
        )
        areas = (standing,) if places else ()
        show_id = show_id or uuid4()
        starts_at = self.dates.setdefault(show_id, until + starts_in)
        claims = {
            "hold_id": str(hold_id),
            "show_id": str(show_id),
            "org": str(organisation),
            "show": {"name": "Лісова пісня", "starts_at": starts_at.isoformat()},
            "seats": [seat.model_dump(mode="json") for seat in held],
            "places": [some.model_dump(mode="json") for some in areas],
            "currency": "UAH",
            "total": _total(held, areas),
            "invoice": invoice,
            "hold_until": int(until.timestamp()),
        }
        quote = self.signer.sign(claims, ttl_seconds=seconds, audience="quote")
        return Hold(hold_id, organisation, show_id, held, quote, until, starts_at, areas)

    async def hear(self, event: Event[Any]) -> None:
        data = event.data
        if isinstance(data, orders.EnrolmentOpened):
            self.enrolments[data.order_id].append(data)
        if not isinstance(
            data, orders.OrderState | orders.TicketsRevoked | orders.SeatsUnclaimed | orders.PaymentState
        ):
            return
        self.events[data.order_id].append(event)
        if data.order_id in self.silent:
            return
        if isinstance(data, orders.OrderPaid) and data.show_id is not None:
            await self.convert(event)
        elif isinstance(data, orders.TicketsRevoked):
            await self.void(event)
        elif isinstance(data, orders.OrderExpired):
            await self.publish(_released(data, ticketing.HoldEnd.EXPIRED), event.organisation)
        elif isinstance(data, orders.OrderCancelled) and not data.was_paid:
            await self.publish(_released(data, ticketing.HoldEnd.ANNULLED), event.organisation)

    async def convert(self, event: Event[Any]) -> None:
        """Each hold of the order by itself."""
        data = event.data
        lines = [line for line in data.lines if line.given_by is orders.GivenBy.TICKETING]
        for hold in dict.fromkeys(line.hold_id or data.order_id for line in lines):
            await self._convert(event, hold, [x for x in lines if (x.hold_id or data.order_id) == hold])

    async def _convert(self, event: Event[Any], hold: UUID, lines: list[orders.OrderLine]) -> None:
        data = event.data
        other = {"hold_id": hold} if hold != data.order_id else {}
        if data.order_id in self.refusing or hold in self.refusing:
            refused = ticketing.HoldConversionRefused(
                hold_id=hold,
                order_id=data.order_id if other else None,
                show_id=lines[0].show_id,
                seats=tuple(line.reference for line in lines if line.kind is orders.LineKind.SEAT),
                reason="sold to somebody else",
            )
            await self.publish(refused, event.organisation)
            return
        issued = ticketing.TicketsIssued(
            order_id=data.order_id,
            **other,
            show_id=lines[0].show_id,
            show_name=data.title,
            starts_at=datetime.now(UTC) + timedelta(days=7),
            hall_name="Велика зала",
            tickets=tuple(_ticket(line, data.customer) for line in lines for _ in range(line.quantity)),
            documents=(
                ticketing.TicketDocument(
                    recipient=_ticket(lines[0], data.customer).holder,
                    ticket_ids=(),
                    url=f"http://tickets.test/documents/{hold}",
                ),
            ),
        )
        await self.publish(issued, event.organisation)

    async def void(self, event: Event[orders.TicketsRevoked]) -> None:
        data = event.data
        voided = ticketing.TicketsVoided(
            order_id=data.order_id,
            hold_id=data.hold_id,
            show_id=data.show_id,
            show_name="Лісова пісня",
            starts_at=datetime.now(UTC) + timedelta(days=7),
            tickets=tuple(
                ticketing.Ticket(
                    ticket_id=uuid4(),
                    number="T-1",
                    seat=seat,
                    label=seat,
                    zone_name="Партер",
                    price=Money(minor=12_500, currency="UAH"),
                    holder=ticketing.Holder(name="Somebody"),
                )
                for seat in data.seats
            )
            + tuple(_place(places.line_id) for places in data.places for _ in range(places.quantity)),
            reason=data.reason,
            request_id=data.request_id,
        )
        await self.publish(voided, event.organisation)

    def types(self, order_id: UUID | str) -> list[str]:
        """What orders told of an order, without the service and version: order.placed, payment.received, ..."""
        return [event.type.split(".", 1)[1].rsplit(".", 1)[0] for event in self.events[UUID(str(order_id))]]

    def told(self, order_id: UUID | str, kind: type[EventData]) -> list[Any]:
        return [event.data for event in self.events[UUID(str(order_id))] if isinstance(event.data, kind)]


def _released(data: orders.OrderState, reason: ticketing.HoldEnd) -> ticketing.HoldReleased:
    seats = tuple(line.reference for line in data.lines)
    return ticketing.HoldReleased(hold_id=data.order_id, show_id=data.show_id or uuid4(), seats=seats, reason=reason)


def _total(seats: tuple[ticketing.HeldSeat, ...], places: tuple[ticketing.HeldPlaces, ...]) -> int:
    return sum(seat.price.minor for seat in seats) + sum(some.price.minor * some.quantity for some in places)


def _place(line_id: UUID) -> ticketing.Ticket:
    return ticketing.Ticket(
        ticket_id=uuid4(),
        number="T-2",
        seat="",
        area=uuid4(),
        label="Танцпол",
        zone_name="Фан-зона",
        price=Money(minor=3_333, currency="UAH"),
        holder=ticketing.Holder(name="Somebody"),
        line_id=line_id,
    )


def _ticket(line: orders.OrderLine, customer: orders.Customer | None) -> ticketing.Ticket:
    who = line.participant or customer
    assert who is not None
    return ticketing.Ticket(
        ticket_id=uuid4(),
        number=f"T-{line.line_id.hex[:8]}",
        seat=line.reference if line.kind is orders.LineKind.SEAT else "",
        line_id=line.line_id,
        label=line.title,
        zone_name="Партер",
        price=line.unit_price,
        holder=ticketing.Holder(name=who.name, email=who.email, phone=who.phone),
    )


@contextlib.asynccontextmanager
async def running_ticketing(bootstrap: str) -> AsyncIterator[Ticketing]:
    ticketing_ = Ticketing(bootstrap)
    await ticketing_.producer.start()
    heard: asyncio.Queue[Event[Any]] = asyncio.Queue()
    topics = ["orders.order", "orders.payment", "orders.enrolment", "orders.offer"]
    tail = Tail(bootstrap, topics, heard.put_nowait)

    async def answer() -> None:
        while True:
            await ticketing_.hear(await heard.get())

    tasks = [asyncio.create_task(tail.run()), asyncio.create_task(answer())]
    await tail.ready.wait()
    try:
        yield ticketing_
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await ticketing_.producer.stop()
