"""Events that ticketing listens to. Thin: each becomes one command."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Consumer
from chassis.errors import Permanent
from contracts.accounts import AccountState, OrganisationState
from contracts.envelope import Event, EventData
from contracts.orders import (
    OrderCancelled,
    OrderChanged,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    SeatsUnclaimed,
    TicketsRevoked,
)
from services.ticketing import people
from services.ticketing.settings import Settings
from services.ticketing.shows.board import Board
from services.ticketing.tickets import orders
from services.ticketing.tickets.issue import Printer


def build(settings: Settings, board: Board, printer: Printer) -> Consumer:
    """The consumer group of ticketing."""
    consumer = Consumer("ticketing")
    buffer = timedelta(seconds=settings.payment_buffer_seconds)

    @consumer.on(OrderPlaced, OrderChanged)
    async def awaits_payment(session: AsyncSession, event: Event[OrderPlaced | OrderChanged]) -> None:
        await orders.order_awaits_payment(session, _organisation(event), event.data, buffer)

    @consumer.on(OrderPaid)
    async def paid(session: AsyncSession, event: Event[OrderPaid]) -> None:
        await orders.order_paid(session, board, printer, _organisation(event), event.data)

    @consumer.on(OrderCancelled, OrderExpired)
    async def cancelled(session: AsyncSession, event: Event[OrderCancelled | OrderExpired]) -> None:
        await orders.order_cancelled(session, _organisation(event), event.data)

    @consumer.on(SeatsUnclaimed)
    async def unclaimed(session: AsyncSession, event: Event[SeatsUnclaimed]) -> None:
        await orders.seats_unclaimed(session, event.data.hold_id or event.data.order_id)

    @consumer.on(TicketsRevoked)
    async def revoked(session: AsyncSession, event: Event[TicketsRevoked]) -> None:
        await orders.tickets_revoked(session, board, _organisation(event), event.data)

    @consumer.on(*OrganisationState.types())
    async def organisation(session: AsyncSession, event: Event[OrganisationState]) -> None:
        await people.keep_organisation(session, event.data, event.aggregate_version)

    @consumer.on(*AccountState.types())
    async def account(session: AsyncSession, event: Event[AccountState]) -> None:
        await people.keep_person(session, event.data, event.aggregate_version)

    return consumer


def _organisation(event: Event[EventData]) -> UUID:
    if event.organisation is None:
        raise Permanent(f"{event.type} names no organisation")
    return event.organisation
