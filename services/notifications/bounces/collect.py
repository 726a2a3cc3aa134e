"""Takes reports out of the mailbox and records what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.db import Database
from chassis.logging import get_logger
from contracts.notifications import Channel, MessageBounced
from services.notifications import metrics
from services.notifications.bounces.mailbox import Mailbox
from services.notifications.bounces.report import Report, read
from services.notifications.models import Message
from services.notifications.recipients import recipient_hash, without_addresses
from services.notifications.suppressions import suppress

log = get_logger(__name__)

AT_ONCE = 50


def collector(mailbox: Mailbox) -> Callable[[Database], Awaitable[int]]:
    """The job that reads `mailbox`."""

    async def collect(db: Database) -> int:
        """Returns how many mails were read, reports or not; each once, unless we die before it is marked."""
        mails = await asyncio.to_thread(mailbox.unread, AT_ONCE)
        for _, raw in mails:
            report = read(raw)
            async with db.as_worker() as session:
                known = report is not None and await record(session, report)
            metrics.BOUNCES.labels("recorded" if known else "unknown").inc()
        await asyncio.to_thread(mailbox.mark_read, [name for name, _ in mails])
        return len(mails)

    return collect


async def record(session: AsyncSession, report: Report) -> bool:
    """Writes down that a message came back, and tells of it once. False for a message that is not ours.

    Whoever forges a report must know the message's id, which only its recipient was told.
    """
    message = await session.scalar(
        select(Message).where(Message.message_id == report.message_id).with_for_update(of=Message)
    )
    if message is None or message.recipient is None or message.channel != Channel.EMAIL:
        return False
    if report.no_such_address and message.recipient in report.recipients:
        await suppress(session, message.organisation, message.recipient, report.words)
    first = await session.scalar(
        update(Message)
        .where(Message.message_id == message.message_id, Message.bounced_at.is_(None))
        .values(bounced_at=func.now(), reason=f"came back: {report.words}")
        .returning(Message.message_id)
        .execution_options(synchronize_session=False)
    )
    if first is not None:
        event = MessageBounced(
            message_id=message.message_id,
            channel=Channel.EMAIL,
            template=message.template,
            recipient_hash=recipient_hash(message.recipient),
            order_id=message.order_id,
            attempts=message.attempts,
            attachments=len(message.documents),
            reason=without_addresses(report.words),
        )
        correlation = str(message.order_id) if message.order_id else None
        outbox.add(session, event, organisation=message.organisation, version=2, correlation_id=correlation)
        log.info("message came back", message_id=str(message.message_id), template=message.template)
    return True
