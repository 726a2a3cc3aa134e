"""What notifications remembers of other services' events, so that it never has to ask back.

Every row keeps the version of the aggregate it was taken from, and an older event never overwrites a newer one.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import DateTime, Integer, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.projections import keep_newest
from contracts.accounts import OrganisationState
from contracts.envelope import Event
from contracts.orders import OrderChanged, OrderState
from contracts.ticketing import ShowState, TicketsIssued, TicketsVoided
from services.notifications.messages import NAMESPACE, Person
from services.notifications.models import (
    KnownDocument,
    KnownOrder,
    KnownShow,
    Message,
    Organisation,
    Preferences,
    Status,
    VoidedTicket,
)


async def learn_organisation(session: AsyncSession, event: Event[OrganisationState]) -> None:
    """Keeps who the organisation is and how its staff are reached."""
    data = event.data
    row = {
        "organisation": data.organisation_id,
        "version": event.aggregate_version,
        "name": data.name,
        "locale": data.locale,
        "time_zone": data.time_zone,
        "staff_email": data.staff_email,
        "staff_phone": data.staff_phone,
    }
    await keep_newest(session, Organisation, row)


async def learn_order(session: AsyncSession, event: Event[OrderState], organisation: UUID) -> bool:
    """Keeps the order as it is now; whether the event is the newest of it."""
    row = {
        "order_id": event.data.order_id,
        "organisation": organisation,
        "version": event.aggregate_version,
        "locale": event.data.locale,
        # Only what every order event has: a later type may be read back as any OrderState.
        "state": event.data.model_dump(mode="json", include=set(OrderState.model_fields)),
    }
    return await keep_newest(session, KnownOrder, row)


async def learn_show(session: AsyncSession, event: Event[ShowState], organisation: UUID) -> None:
    """Keeps when the show begins, and moves its waiting reminders along."""
    data = event.data
    row = {
        "show_id": data.show_id,
        "organisation": organisation,
        "version": event.aggregate_version,
        "name": data.name,
        "hall_name": data.hall_name,
        "starts_at": data.starts_at,
        "status": str(data.status),
    }
    if await keep_newest(session, KnownShow, row):
        hours = cast(Message.params["hours"].astext, Integer)
        starts_at = cast(data.starts_at, DateTime(timezone=True))
        await session.execute(
            update(Message)
            .where(Message.show_id == data.show_id, Message.status == Status.PENDING)
            .where(Message.organisation == organisation)
            .values(due_at=starts_at - func.make_interval(0, 0, 0, 0, hours), give_up_at=starts_at)
            .execution_options(synchronize_session=False)
        )


async def learn_documents(session: AsyncSession, event: Event[TicketsIssued], organisation: UUID) -> None:
    """Keeps the signed addresses of the order's PDF files."""
    data = event.data
    rows = [
        {
            "document_id": uuid5(NAMESPACE, f"{data.order_id}:{sorted(document.ticket_ids)}"),
            "organisation": organisation,
            "order_id": data.order_id,
            "holder": document.recipient.name,
            "url": document.url,
            "ticket_ids": list(document.ticket_ids),
            "starts_at": data.starts_at,
        }
        for document in data.documents
    ]
    if rows:
        await session.execute(insert(KnownDocument).on_conflict_do_nothing(), rows)


async def learn_voided(session: AsyncSession, event: Event[TicketsVoided], organisation: UUID) -> None:
    """Keeps which tickets are no longer valid."""
    rows = [
        {"ticket_id": ticket.ticket_id, "organisation": organisation, "order_id": event.data.order_id}
        for ticket in sorted(event.data.tickets, key=lambda ticket: ticket.ticket_id.int)
    ]
    if rows:
        await session.execute(insert(VoidedTicket).on_conflict_do_nothing(), rows)


async def order_state(session: AsyncSession, order_id: UUID) -> OrderState | None:
    """The order as of its newest event; `None` if it has not been heard of."""
    row = await session.scalar(select(KnownOrder.state).where(KnownOrder.order_id == order_id))
    return OrderChanged.model_validate(row, extra="ignore") if row is not None else None


async def customer(session: AsyncSession, order_id: UUID) -> Person | None:
    """Who ordered."""
    state = await order_state(session, order_id)
    if state is None or state.customer is None:
        return None
    return Person(state.customer.name, state.customer.email, state.customer.phone)


async def show_start(session: AsyncSession, show_id: UUID) -> datetime | None:
    """When the show begins, if it has been heard of."""
    return await session.scalar(select(KnownShow.starts_at).where(KnownShow.show_id == show_id))


async def reminder_hours(session: AsyncSession, organisation: UUID, default: int) -> int:
    """How long before a show the organisation reminds; 0: not at all."""
    chosen = await session.scalar(select(Preferences.reminder_hours).where(Preferences.organisation == organisation))
    return default if chosen is None else chosen
