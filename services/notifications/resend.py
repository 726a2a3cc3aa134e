"""Sends something once more because a member of staff asked for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.problems import NotFound
from services.notifications import known, occasions
from services.notifications.errors import ContentsForgotten, NobodyToWrite, StillOnItsWay
from services.notifications.letters import Template
from services.notifications.messages import STAFF, Draft, Person, announce
from services.notifications.models import FINAL, KnownDocument, Message, VoidedTicket
from services.notifications.settings import Settings


async def order_data(session: AsyncSession, organisation: UUID, order_id: UUID, settings: Settings) -> dict[str, Any]:
    """Writes down a message with the order's data for the buyer (NTF-10, ORD-58, TKT-23).

    Raises 404 for an order that is not the organisation's, 409 when the buyer left no address.
    """
    state = await known.order_state(session, order_id)
    if state is None:
        raise NotFound("There is no such order, or it has not been heard of yet. Try again in a moment.")
    documents = list(await session.scalars(select(KnownDocument).where(KnownDocument.order_id == order_id)))
    voided = set(await session.scalars(select(VoidedTicket.ticket_id).where(VoidedTicket.order_id == order_id)))
    valid = [document for document in documents if not set(document.ticket_ids) <= voided]
    links = [{"name": document.holder, "url": document.url} for document in valid]
    starts_at = documents[0].starts_at if documents else None
    draft = occasions.order_data(state, uuid4(), links, starts_at)
    return await _asked(session, organisation, draft, settings)


async def message(session: AsyncSession, organisation: UUID, message_id: UUID, settings: Settings) -> dict[str, Any]:
    """Writes down the same message once more.

    Raises 404 for a foreign one, 409 for one that is still to be sent, or was sent too long ago.
    """
    old = await session.scalar(
        select(Message).where(Message.message_id == message_id, Message.organisation == organisation)
    )
    if old is None:
        raise NotFound("There is no such message.")
    if old.status not in FINAL:
        raise StillOnItsWay("It goes out by itself; there is nothing to repeat yet.", message_status=old.status)
    if not old.params:
        raise ContentsForgotten("It was sent too long ago. Send the order's data instead.", order_id=old.order_id)
    phone, email = (old.recipient, None) if old.channel == "sms" else (None, old.recipient)
    draft = Draft(
        template=Template(old.template),
        transition=f"{old.transition}:{uuid4()}",
        to=None if old.recipient_key == STAFF else Person(old.recipient_name, email, phone),
        params=old.params,
        order_id=old.order_id,
        locale=old.locale,
        documents=tuple(old.documents),
        resend_of=old.message_id,
    )
    return await _asked(session, organisation, draft, settings)


async def _asked(session: AsyncSession, organisation: UUID, draft: Draft, settings: Settings) -> dict[str, Any]:
    ids = await announce(session, organisation, [draft], settings, at=datetime.now(UTC))
    if not ids:
        raise NobodyToWrite("There is neither an e-mail address nor a phone number to write to.")
    return {"message_id": ids[0], "status": "pending"}
