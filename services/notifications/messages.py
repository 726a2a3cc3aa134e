"""A message is written down once per transition and recipient, whatever duplicates and reorderings arrive.

Handlers turn an event into drafts by pure functions (`occasions.py`); `announce` inserts them, and the unique key lets
only the first of each in. The id is computed from that key, so the e-mail's Message-ID is the same for every attempt,
and would be even for a message rebuilt from its event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import case, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import tracing
from chassis.letters import PLATFORM
from chassis.people import normalise_email
from contracts.notifications import Channel
from services.notifications.lanes import lane_of
from services.notifications.letters import Template
from services.notifications.metrics import UNREACHABLE
from services.notifications.models import Message, Status
from services.notifications.settings import Settings

NAMESPACE = UUID("4b0f3f0e-6a35-5b0c-9a2b-7f7c3f3b8a11")
"""Of message ids. Changing it would send everything again that is rebuilt from events."""

STAFF = "staff"
_E164 = re.compile(r"\+[1-9]\d{6,14}")


@dataclass(frozen=True, slots=True)
class Person:
    """Whom to write to: by e-mail if there is an address, else by SMS (GAP-11)."""

    name: str
    email: str | None = None
    phone: str | None = None

    def reach(self) -> tuple[Channel, str] | None:
        """Channel and normalised address; `None` when the person left neither."""
        if self.email and (address := normalise_email(self.email)):
            return Channel.EMAIL, address
        if self.phone and _E164.fullmatch(self.phone):
            return Channel.SMS, self.phone
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message to be. `transition` names the change it tells of; `to` is a person, or the organisation's staff."""

    template: Template
    transition: str
    to: Person | None
    params: dict[str, Any]
    order_id: UUID | None = None
    show_id: UUID | None = None
    locale: str | None = None
    documents: tuple[str, ...] = ()
    due_at: datetime | None = None
    resend_of: UUID | None = None

    def row(self, organisation: UUID, at: datetime, settings: Settings) -> dict[str, Any] | None:
        """The row of `message`, or `None` if there is no way to reach the recipient. `at` is when it happened."""
        if self.to is None:
            channel, recipient, key = Channel.SMS, None, STAFF
        else:
            reached = self.to.reach()
            if reached is None:
                return None
            channel, recipient = reached
            key = recipient
        due_at = self.due_at or at
        wait = timedelta(seconds=settings.context_wait_seconds)
        return {
            "message_id": message_id(organisation, self.template, self.transition, key),
            "organisation": organisation,
            "order_id": self.order_id,
            "show_id": self.show_id,
            "template": str(self.template),
            "transition": self.transition,
            "recipient_key": key,
            "channel": str(channel),
            "recipient": recipient,
            "recipient_name": " ".join(self.to.name.split()) if self.to else "",
            "locale": self.locale,
            "params": self.params,
            "documents": list(self.documents),
            "resend_of": self.resend_of,
            "lane": lane_of(
                self.template, asked_for=self.resend_of is not None or self.template is Template.ORDER_DATA
            ),
            "traceparent": tracing.current_traceparent(),
            "due_at": due_at,
            "context_by": max(due_at, datetime.now(UTC)) + (wait if organisation != PLATFORM else timedelta(0)),
            "give_up_at": due_at + timedelta(hours=settings.give_up_hours),
        }


def message_id(organisation: UUID, template: str, transition: str, recipient_key: str) -> UUID:
    """The id that belongs to a message's unique key."""
    return uuid5(NAMESPACE, "\n".join((str(organisation), template, transition, recipient_key)))


async def revise(
    session: AsyncSession, organisation: UUID, drafts: Iterable[Draft], settings: Settings, *, at: datetime
) -> None:
    """Brings a message about an order that still waits up to date: what it says, to whom, and, where the way of paying
    is another, when it leaves. What has begun to go out stays as it is. The key stays that of the first recipient.
    """
    for draft in drafts:
        row = draft.row(organisation, at, settings)
        if row is None:
            continue
        other_way = Message.params["payment_method"].astext != draft.params["payment_method"]
        await session.execute(
            update(Message)
            .where(Message.organisation == organisation, Message.order_id == draft.order_id)
            .where(Message.template == row["template"], Message.transition == row["transition"])
            .where(Message.status == Status.PENDING, Message.resend_of.is_(None))
            .values(
                {name: row[name] for name in ("params", "channel", "recipient", "recipient_name")}
                | {
                    name: case((other_way, row[name]), else_=getattr(Message, name))
                    for name in ("due_at", "context_by", "give_up_at")
                }
            )
            .execution_options(synchronize_session=False)
        )


async def announce(
    session: AsyncSession, organisation: UUID, drafts: Iterable[Draft], settings: Settings, *, at: datetime
) -> list[UUID]:
    """Writes down the messages that are not there yet. Returns the ids of the new ones.

    `at` is when the change happened: what comes to light too long after it is not sent any more.
    """
    rows = []
    for draft in drafts:
        row = draft.row(organisation, at, settings)
        if row is None:
            UNREACHABLE.labels(draft.template).inc()
        else:
            rows.append(row)
    if not rows:
        return []
    # One order of insertion for all, so that two replicas never wait for each other in a circle.
    rows.sort(key=lambda row: row["message_id"].int)
    inserted = await session.scalars(insert(Message).on_conflict_do_nothing().returning(Message.message_id), rows)
    return list(inserted)
