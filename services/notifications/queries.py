"""What staff see of messages."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import case, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import cut, moment, read_cursor
from services.notifications.models import Attempt, Message, Status


class MessageView(BaseModel):
    """A message as staff see it."""

    message_id: UUID
    order_id: UUID | None
    template: str
    channel: str
    recipient: str | None
    recipient_name: str
    status: Status
    reason: str | None
    attempts: int
    attachments: int
    due_at: datetime
    created_at: datetime
    finished_at: datetime | None
    bounced_at: datetime | None
    """When a mail that was sent came back; `reason` says why."""
    resend_of: UUID | None


class AttemptView(BaseModel):
    """One line of the delivery log. Without an outcome it is under way, or was cut off."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    detail: str | None
    seconds: float | None


class MessageDetails(MessageView):
    log: list[AttemptView]


class MessagePage(BaseModel):
    items: list[MessageView]
    next: str | None


class Totals(BaseModel):
    """Messages by status, and by template and status. `with_document`: sent ones that carried a PDF."""

    status: dict[str, int]
    templates: dict[str, dict[str, int]]
    with_document: int


async def page(
    session: AsyncSession,
    organisation: UUID,
    *,
    order_id: UUID | None,
    status: Status | None,
    template: str | None,
    undelivered: bool,
    cursor: str | None,
    limit: int,
) -> MessagePage:
    """Messages of an organisation, newest first."""
    query = select(Message).where(Message.organisation == organisation)
    if order_id is not None:
        query = query.where(Message.order_id == order_id)
    if status is not None:
        query = query.where(Message.status == status)
    if template is not None:
        query = query.where(Message.template == template)
    if undelivered:
        query = query.where(or_(Message.status == Status.FAILED, Message.bounced_at.is_not(None)))
    if cursor is not None:
        query = query.where(tuple_(Message.created_at, Message.message_id) < read_cursor(cursor, moment))
    query = query.order_by(Message.created_at.desc(), Message.message_id.desc()).limit(limit + 1)
    rows, more = cut((await session.scalars(query)).all(), limit, lambda row: (row.created_at, row.message_id))
    return MessagePage(items=[MessageView(**_view(row)) for row in rows], next=more)


async def details(session: AsyncSession, organisation: UUID, message_id: UUID) -> MessageDetails | None:
    """One message with its delivery log."""
    row = await session.scalar(
        select(Message).where(Message.organisation == organisation, Message.message_id == message_id)
    )
    if row is None:
        return None
    log = await session.scalars(
        select(Attempt)
        .where(Attempt.message_id == message_id, Attempt.organisation == organisation)
        .order_by(Attempt.started_at)
    )
    lines = [AttemptView.model_validate(attempt, from_attributes=True) for attempt in log]
    return MessageDetails(**_view(row), log=lines)


async def totals(session: AsyncSession, organisation: UUID) -> Totals:
    """How many messages of each kind the organisation has."""
    carried = case((func.cardinality(Message.documents) > 0, Message.status == Status.SENT), else_=False)
    rows = await session.execute(
        select(Message.template, Message.status, func.count(), func.count().filter(carried))
        .where(Message.organisation == organisation)
        .group_by(Message.template, Message.status)
    )
    by_status = {str(status): 0 for status in Status}
    templates: dict[str, dict[str, int]] = defaultdict(dict)
    with_document = 0
    for template, status, count, documents in rows:
        by_status[status] += count
        templates[template][status] = count
        with_document += documents
    return Totals(status=by_status, templates=dict(templates), with_document=with_document)


def _view(row: Message) -> dict[str, Any]:
    names = MessageView.model_fields.keys() - {"attachments"}
    return {name: getattr(row, name) for name in names} | {"attachments": len(row.documents)}
