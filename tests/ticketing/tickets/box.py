"""The commands behind the consumer, called one by one, and what they left behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from pydantic import SecretStr
from sqlalchemy import text

from chassis.db import Database
from chassis.links import Links
from contracts.envelope import Event, EventData, decode
from contracts.orders import (
    OrderCancelled,
    OrderChanged,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    SeatsUnclaimed,
    TicketsRevoked,
)
from services.ticketing.holds import terms
from services.ticketing.holds.lane import Lane
from services.ticketing.holds.requests import Granted, Request
from services.ticketing.settings import DEVELOPMENT_TICKET_KEY
from services.ticketing.shows.layout import Layout
from services.ticketing.tickets import orders
from services.ticketing.tickets.codes import Codes
from services.ticketing.tickets.issue import Printer
from tests.ticketing.holds.crowd import answers, ask, board_of
from tests.ticketing.theatre import Order

PRINTER = Printer(
    Codes(DEVELOPMENT_TICKET_KEY), Links(SecretStr("a secret of thirty-two characters!")), "http://x", 3600
)


@dataclass
class Box:
    db: Database
    layout: Layout
    lane: Lane

    async def hold(self, *seats: str | tuple[int, int], lifetime: float = 60, **who: Any) -> Order:
        """Seats by name, and places as (number of the area, quantity)."""
        request = ask(self.layout, *seats, lifetime=lifetime, **who)
        (answer,) = await answers([self.lane], [request])
        assert isinstance(answer, Granted), answer
        return self.order_of(request, answer)

    def order_of(self, request: Request, answer: Granted) -> Order:
        """An order for what was granted."""
        hold = {
            "hold_id": str(request.hold_id),
            "show_id": str(self.layout.show_id),
            "seats": orjson.loads(terms.to_json(answer.seats)),
            "places": orjson.loads(terms.to_json(answer.places)),
            "total": {"minor": answer.total, "currency": "UAH"},
        }
        return Order(self.layout.organisation, hold)

    async def hear(self, event: Event[Any]) -> None:
        """One event in a transaction of its own, as the consumer does it."""
        organisation = self.layout.organisation
        board = board_of(self.db)
        async with self.db.as_worker() as session:
            match event.data:
                case OrderPlaced() | OrderChanged() as data:
                    await orders.order_awaits_payment(session, organisation, data, timedelta(minutes=2))
                case OrderPaid() as data:
                    await orders.order_paid(session, board, PRINTER, organisation, data)
                case OrderCancelled() | OrderExpired() as data:
                    await orders.order_cancelled(session, organisation, data)
                case SeatsUnclaimed() as data:
                    await orders.seats_unclaimed(session, data.hold_id or data.order_id)
                case TicketsRevoked() as data:
                    await orders.tickets_revoked(session, board, organisation, data)

    async def said(self, order: Order, *kinds: type[EventData]) -> list[Any]:
        """The events that ticketing wrote about an order, oldest first."""
        async with self.db.as_worker() as session:
            rows = await session.execute(
                text("SELECT value, headers FROM outbox WHERE key = :key ORDER BY id"),
                {"key": order.hold["hold_id"].encode()},
            )
            events = [decode([(n, v.encode()) for n, v in row.headers], bytes(row.value)) for row in rows]
        return [event.data for event in events if isinstance(event.data, kinds)]

    async def living(self) -> dict[str, UUID]:
        """The order of each seat with a living ticket."""
        return await self._pairs("SELECT seat, order_id FROM ticket WHERE show_id = :show AND voided_at IS NULL")

    async def sold(self) -> dict[str, UUID]:
        """The order of each seat that is blocked for ever."""
        return await self._pairs("SELECT seat, hold_id FROM held_seat WHERE show_id = :show AND until = 'infinity'")

    async def counted(self) -> list[dict[str, int]]:
        """Of each area: what its counter says, what holds have of it, and what of that is sold; with its living
        tickets."""
        sql = """
            SELECT taken, coalesce(has, 0)::int AS has, coalesce(sold, 0)::int AS sold,
                   (SELECT count(*) FROM ticket WHERE ticket.area_id = area.id AND voided_at IS NULL) AS tickets
            FROM area LEFT JOIN (
                SELECT area_id, sum(quantity) AS has, sum(quantity) FILTER (WHERE until = 'infinity') AS sold
                FROM held_place GROUP BY area_id
            ) AS held ON held.area_id = area.id
            WHERE show_id = :show ORDER BY position
        """
        async with self.db.as_worker() as session:
            rows = (await session.execute(text(sql), {"show": self.layout.show_id})).all()
        return [dict(row._mapping) for row in rows]

    async def _pairs(self, sql: str) -> dict[str, UUID]:
        async with self.db.as_worker() as session:
            rows = (await session.execute(text(sql), {"show": self.layout.show_id})).all()
        pairs = dict(tuple(row) for row in rows)
        assert len(pairs) == len(rows), "two tickets for one seat"
        return pairs
