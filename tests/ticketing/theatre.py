"""An organisation and its buyers, at the service's HTTP edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import aiohttp
import orjson
from uuid_utils.compat import uuid7

from contracts.accounts import Role
from contracts.envelope import Event
from contracts.money import Money
from contracts.orders import (
    Customer,
    FunnelStage,
    LineKind,
    OrderCancelled,
    OrderChanged,
    OrderExpired,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    Participant,
    PaymentMethod,
    PaymentStatus,
    RevokedPlaces,
    SeatsUnclaimed,
    TicketsRevoked,
)
from tests.events import event, publish
from tests.harness import TokenMint, eventually
from tests.ticketing.plans import plan

SHOW_TIME = datetime(2097, 3, 8, 17, 0, tzinfo=UTC)


@dataclass
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Theatre:
    url: str
    http: aiohttp.ClientSession
    tokens: TokenMint
    kafka: str
    organisation: UUID = field(default_factory=uuid4)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: Role | None = Role.TICKET_ORGANIZER,
        headers: dict[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """A request of staff with this role, or of anybody with `role=None`."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token or role:
            sent["Authorization"] = f"Bearer {token or self.tokens.staff(self.organisation, role)}"
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        async with self.http.request(method, f"{self.url}{path}", data=data, headers=sent) as answer:
            raw = await answer.read()
            parsed = orjson.loads(raw) if "json" in answer.headers.get("Content-Type", "") and raw else raw
            return Answer(answer.status, parsed, answer.headers)

    async def hall(self, seating: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.call("POST", "/halls", {"plan": seating or plan()})
        assert answer.status == 201, answer.body
        return answer.body

    async def show(
        self, *, seating: dict[str, Any] | None = None, price: int = 25_000, on_sale: bool = True, **more: Any
    ) -> dict[str, Any]:
        hall = await self.hall(seating)
        zones = [
            {
                "name": category["name"],
                "price": {"minor": price, "currency": "UAH"},
                "categories": [category["name"]],
            }
            for category in hall["categories"]
        ]
        body = {
            "hall_id": hall["hall_id"],
            "name": "Тіні забутих предків",
            "starts_at": SHOW_TIME.isoformat(),
            "currency": "UAH",
            "price_zones": zones,
            **more,
        }
        answer = await self.call("POST", "/shows", body)
        assert answer.status == 201, answer.body
        if on_sale:
            answer = await self.call("POST", f"/shows/{answer.body['show_id']}/start-sale")
            assert answer.status == 200, answer.body
        return answer.body

    async def hold_items(self, show: dict[str, Any], *items: dict[str, Any], **more: Any) -> Answer:
        body = {"hold_id": str(more.pop("hold_id", None) or uuid7()), "items": list(items), **more.pop("body", {})}
        return await self.call("POST", f"/shows/{show['show_id']}/holds", body, role=more.pop("role", None), **more)

    async def hold(self, show: dict[str, Any], *seats: str, hold_id: UUID | None = None, **more: Any) -> Answer:
        body = {"hold_id": str(hold_id or uuid7()), "seats": list(seats)}
        return await self.call("POST", f"/shows/{show['show_id']}/holds", body, role=more.pop("role", None), **more)

    async def seats(self, show: dict[str, Any]) -> dict[str, str]:
        answer = await self.call("GET", f"/shows/{show['show_id']}/seats", role=None)
        assert answer.status == 200, answer.body
        return answer.body["seats"]

    async def see(self, show: dict[str, Any], **expected: str) -> None:
        """Waits until the hall looks so: `see(show, **{"1-1": "sold"})`."""

        async def check() -> bool:
            seats = await self.seats(show)
            assert {seat: seats[seat] for seat in expected} == expected
            return True

        await eventually(check)

    async def tickets(self, order_id: Any, count: int) -> list[dict[str, Any]]:
        async def check() -> list[dict[str, Any]] | None:
            answer = await self.call("GET", f"/orders/{order_id}/tickets")
            return answer.body["items"] if len(answer.body["items"]) == count else None

        found = await eventually(check)
        assert found is not None
        return found

    async def tell(self, *events: Event[Any]) -> None:
        await publish(self.kafka, events)

    def order(self, hold: dict[str, Any], **more: Any) -> Order:
        return Order(self.organisation, hold, **more)


@dataclass
class Order:
    """The events of an order for a hold."""

    organisation: UUID
    hold: dict[str, Any]
    participants: dict[str, Participant] = field(default_factory=dict)
    customer: Customer = field(
        default_factory=lambda: Customer(name="Олена Шевченко", email="olena@example.com", phone="+380671234567")
    )
    locale: str = "uk"
    version: int = 0

    def placed(self, pay_by: datetime | None = None) -> Event[Any]:
        return self._event(
            OrderPlaced, FunnelStage.AWAITING_PAYMENT, pay_by=pay_by or datetime.now(UTC) + timedelta(minutes=30)
        )

    def changed(self, pay_by: datetime | None = None) -> Event[Any]:
        return self._event(OrderChanged, FunnelStage.AWAITING_PAYMENT, pay_by=pay_by)

    def paid(self) -> Event[Any]:
        return self._event(OrderPaid, FunnelStage.PAID, status=PaymentStatus.MONEY_RECEIVED)

    def cancelled(self) -> Event[Any]:
        return self._event(OrderCancelled, FunnelStage.CANCELLED, was_paid=False, reason="changed plans")

    def expired(self) -> Event[Any]:
        return self._event(OrderExpired, FunnelStage.CANCELLED)

    def revoked_places(self, quantity: int, *, line: int = 0, request: UUID | None = None) -> Event[Any]:
        """So many tickets of a line of places."""
        self.version += 1
        lines = [each for each in self.lines() if each.kind == LineKind.PLACE]
        data = TicketsRevoked(
            order_id=UUID(self.hold["hold_id"]),
            hold_id=UUID(self.hold["hold_id"]),
            show_id=UUID(self.hold["show_id"]),
            request_id=request or uuid4(),
            seats=(),
            places=(RevokedPlaces(line_id=lines[line].line_id, quantity=quantity),),
            reason="refunded",
        )
        return event(data, self.organisation, version=self.version)

    def lines(self) -> tuple[OrderLine, ...]:
        hold_id, show_id = UUID(self.hold["hold_id"]), UUID(self.hold["show_id"])
        seats = [
            OrderLine(
                line_id=uuid5(hold_id, seat["seat"]),
                kind=LineKind.SEAT,
                reference=seat["seat"],
                title=seat["label"],
                unit_price=Money.model_validate(seat["price"]),
                total=Money.model_validate(seat["price"]),
                participant=self.participants.get(seat["seat"]),
                zone_name=seat.get("zone_name"),
                fare=seat.get("fare"),
                fare_name=seat.get("fare_name"),
            )
            for seat in self.hold["seats"]
        ]
        places = [
            OrderLine(
                line_id=uuid5(hold_id, f"{each['area']}:{each['fare']}"),
                kind=LineKind.PLACE,
                reference=each["area"],
                title=each["label"],
                quantity=each["quantity"],
                unit_price=Money.model_validate(each["price"]),
                total=Money(minor=each["price"]["minor"] * each["quantity"], currency=each["price"]["currency"]),
                show_id=show_id,
                hold_id=hold_id,
                zone_name=each["zone_name"],
                fare=each["fare"],
                fare_name=each.get("fare_name"),
            )
            for each in self.hold.get("places", ())
        ]
        return (*seats, *places)

    def unclaimed(self) -> Event[Any]:
        self.version += 1
        ids = {"order_id": UUID(self.hold["hold_id"]), "show_id": UUID(self.hold["show_id"])}
        return event(SeatsUnclaimed(**ids), self.organisation, version=self.version)

    def revoked(self, *seats: str, request: UUID | None = None) -> Event[Any]:
        self.version += 1
        data = TicketsRevoked(
            order_id=UUID(self.hold["hold_id"]),
            show_id=UUID(self.hold["show_id"]),
            request_id=request or uuid4(),
            seats=seats or tuple(seat["seat"] for seat in self.hold["seats"]),
            reason="refunded",
        )
        return event(data, self.organisation, version=self.version)

    def _event(self, kind: type[Any], stage: FunnelStage, status=PaymentStatus.NOT_PAID, **more: Any) -> Event[Any]:
        self.version += 1
        currency = self.hold["total"]["currency"]
        total = Money.model_validate(self.hold["total"])
        data = kind(
            order_id=UUID(self.hold["hold_id"]),
            number=f"F-{self.hold['hold_id'][-6:]}",
            stage=stage,
            payment_status=status,
            payment_method=PaymentMethod.CARD,
            currency=currency,
            total=total,
            paid=total if status == PaymentStatus.MONEY_RECEIVED else Money.zero(currency),
            refunded=Money.zero(currency),
            customer=self.customer,
            show_id=UUID(self.hold["show_id"]),
            title="Тіні забутих предків",
            lines=self.lines(),
            locale=self.locale,
            created_at=datetime.now(UTC),
            **more,
        )
        return event(data, self.organisation, version=self.version)
