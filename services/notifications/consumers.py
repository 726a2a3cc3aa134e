"""Events that make messages, or that messages need to know."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Consumer
from chassis.errors import Permanent
from chassis.letters import PLATFORM
from contracts.accounts import LetterRequested, OrganisationState
from contracts.envelope import Event, EventData
from contracts.orders import (
    EnrolmentOpened,
    OrderCancelled,
    OrderChanged,
    OrderPlaced,
    OrderRefunded,
    OrderState,
    PaymentRefundDue,
)
from contracts.ticketing import ShowState, TicketsIssued, TicketsVoided
from services.notifications import known, occasions
from services.notifications.messages import announce, revise
from services.notifications.settings import Settings


def build(settings: Settings) -> Consumer:
    """The consumer group of notifications."""
    consumer = Consumer("notifications")

    @consumer.on(*OrganisationState.types())
    async def organisation(session: AsyncSession, event: Event[OrganisationState]) -> None:
        await known.learn_organisation(session, event)

    @consumer.on(LetterRequested)
    async def letter_requested(session: AsyncSession, event: Event[LetterRequested]) -> None:
        await announce(session, PLATFORM, [occasions.letter_requested(event.data)], settings, at=event.time)

    @consumer.on(*ShowState.types())
    async def show(session: AsyncSession, event: Event[ShowState]) -> None:
        await known.learn_show(session, event, owner(event))

    @consumer.on(*OrderState.types())
    async def order(session: AsyncSession, event: Event[OrderState]) -> None:
        await hear_order(session, event, settings)

    @consumer.on(PaymentRefundDue)
    async def refund_due(session: AsyncSession, event: Event[PaymentRefundDue]) -> None:
        customer = await known.customer(session, event.data.order_id)
        await announce(session, owner(event), occasions.refund_due(event.data, customer), settings, at=event.time)

    @consumer.on(TicketsIssued)
    async def issued(session: AsyncSession, event: Event[TicketsIssued]) -> None:
        organisation = owner(event)
        await known.learn_documents(session, event, organisation)
        starts_at = await known.show_start(session, event.data.show_id) or event.data.starts_at
        hours = await known.reminder_hours(session, organisation, event.data.show_id, settings.reminder_hours)
        drafts = occasions.tickets_issued(event.data)
        drafts += occasions.reminders(event.data, starts_at, hours, datetime.now(UTC))
        await announce(session, organisation, drafts, settings, at=event.time)

    @consumer.on(TicketsVoided)
    async def voided(session: AsyncSession, event: Event[TicketsVoided]) -> None:
        await known.learn_voided(session, event, owner(event))
        customer = await known.customer(session, event.data.order_id)
        await announce(session, owner(event), occasions.tickets_voided(event.data, customer), settings, at=event.time)

    @consumer.on(EnrolmentOpened)
    async def enrolled(session: AsyncSession, event: Event[EnrolmentOpened]) -> None:
        customer = await known.customer(session, event.data.order_id)
        await announce(session, owner(event), occasions.course_access(event.data, customer), settings, at=event.time)

    return consumer


async def hear_order(session: AsyncSession, event: Event[OrderState], settings: Settings) -> None:
    """Keeps the order, and writes down what its change is an occasion for."""
    is_newest = await known.learn_order(session, event, owner(event))
    data, delay = event.data, settings.payment_reminder_seconds
    pay_by = data.pay_by if isinstance(data, OrderPlaced | OrderChanged) else None
    drafts = occasions.invoice_ordered(data, pay_by)
    if isinstance(data, OrderPlaced):
        drafts += occasions.order_placed(data, data.pay_by, data.created_at, delay)
    elif isinstance(data, OrderCancelled):
        drafts += occasions.order_cancelled(data)
    elif isinstance(data, OrderRefunded):
        drafts += occasions.order_refunded(data)
    elif pay_by and is_newest:
        waiting = occasions.order_placed(data, pay_by, event.time, delay)
        await revise(session, owner(event), waiting, settings, at=event.time)
    await announce(session, owner(event), drafts, settings, at=event.time)


def owner(event: Event[EventData]) -> UUID:
    """The organisation of an event that must have one."""
    if event.organisation is None:
        raise Permanent(f"{event.type} names no organisation")
    return event.organisation
