"""What notifications remembers of other services' events, so that it never has to ask back.

Every row keeps the version of the aggregate it was taken from, and an older event never overwrites a newer one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import ARRAY, ColumnElement, DateTime, Integer, Text, Update, cast, func, select, update
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
    ShowReminder,
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
        await session.execute(_waiting(organisation, data.show_id).values(_times(data.starts_at, hours)))


async def remind(session: AsyncSession, organisation: UUID, show_id: UUID, hours: int) -> None:
    """Moves the waiting reminders of a show: to the beginning, when they are no longer true, for no hours at all."""
    starts_at = await show_start(session, show_id)
    if starts_at is None:
        return
    params = func.jsonb_set(Message.params, cast(["hours"], ARRAY(Text)), func.to_jsonb(cast(hours, Integer)))
    moved = _times(starts_at, cast(hours, Integer))
    await session.execute(_waiting(organisation, show_id).values({"params": params, **moved}))


def _waiting(organisation: UUID, show_id: UUID) -> Update:
    waiting = (Message.organisation == organisation, Message.show_id == show_id, Message.status == Status.PENDING)
    return update(Message).where(*waiting).execution_options(synchronize_session=False)


def _times(starts_at: datetime, hours: ColumnElement[int]) -> dict[str, Any]:
    begin = cast(starts_at, DateTime(timezone=True))
    return {"due_at": begin - func.make_interval(0, 0, 0, 0, hours), "give_up_at": begin}


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


async def reminder_hours(session: AsyncSession, organisation: UUID, show_id: UUID, default: int) -> int:
    """How long before a show its ticket holders are reminded; 0: not at all."""
    own = await session.scalar(
        select(ShowReminder.hours).where(ShowReminder.show_id == show_id, ShowReminder.organisation == organisation)
    )
    if own is not None:
        return own
    chosen = await session.scalar(select(Preferences.reminder_hours).where(Preferences.organisation == organisation))
    return default if chosen is None else chosen
