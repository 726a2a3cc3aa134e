"""Statements that claim messages and record what became of them.

A message is claimed by writing down an attempt, before any provider is called, and the claim lasts as long as its
lease is renewed. Statements that end an attempt name it, so a sender that has lost its lease changes nothing; only the
news that a message did go out is recorded in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from chassis import outbox
from chassis.letters import PLATFORM
from contracts.notifications import Channel, MessageFailed, MessageSent
from services.notifications import metrics
from services.notifications.lanes import Lane
from services.notifications.models import Outcome, Status
from services.notifications.recipients import recipient_hash, without_addresses

# A message that overtook its order or organisation waits for them; after `context_by` it goes out without, except to
# staff, whose address is the organisation's. After a restart of the database every live sender gets the time to
# renew its lease before anyone takes its messages over.
CLAIM = text("""
    WITH due AS (
        SELECT m.message_id, m.attempt_id AS cut_off
        FROM message m
        WHERE m.lane = :lane AND m.status IN ('pending', 'sending') AND m.due_at <= now()
          AND (m.attempt_id IS NULL OR pg_postmaster_start_time() < now() - make_interval(secs => :lease))
          AND (
            (EXISTS (SELECT FROM organisation o WHERE o.organisation = m.organisation)
             AND (m.order_id IS NULL OR m.locale IS NOT NULL
                  OR EXISTS (SELECT FROM known_order k WHERE k.order_id = m.order_id)))
            OR (m.context_by <= now()
                AND (m.recipient IS NOT NULL
                     OR EXISTS (SELECT FROM organisation o WHERE o.organisation = m.organisation)))
          )
        ORDER BY m.due_at
        LIMIT :most
        FOR UPDATE OF m SKIP LOCKED
    ), claimed AS (
        UPDATE message m
        SET status = 'sending', attempts = m.attempts + 1, attempt_id = gen_random_uuid(),
            due_at = now() + make_interval(secs => :lease)
        FROM due WHERE m.message_id = due.message_id
        RETURNING m.*, due.cut_off
    ), logged AS (
        INSERT INTO attempt (attempt_id, message_id, organisation, number)
        SELECT attempt_id, message_id, organisation, attempts FROM claimed
    )
    SELECT c.message_id, c.attempt_id, c.cut_off, c.organisation, c.order_id, c.show_id, c.template, c.channel,
           c.recipient, c.recipient_name, c.params, c.documents, c.traceparent, c.attempts, c.created_at, c.give_up_at,
           c.resend_of IS NOT NULL AS asked_for,
           coalesce(c.locale, k.locale, o.locale) AS locale, k.state AS order_state,
           o.name AS organisation_name, o.time_zone, o.staff_email, o.staff_phone, o.locale AS organisation_locale,
           s.starts_at AS show_starts_at, s.status AS show_status, d.starts_at AS document_starts_at,
           (SELECT x.reason FROM suppression x
            WHERE x.organisation = c.organisation AND x.address = c.recipient) AS takes_no_mail,
           (SELECT array_agg(v.ticket_id) FROM voided_ticket v WHERE v.order_id = c.order_id) AS voided,
           now() AS now
    FROM claimed c
    LEFT JOIN organisation o ON o.organisation = c.organisation
    LEFT JOIN known_order k ON k.order_id = c.order_id
    LEFT JOIN known_show s ON s.show_id = c.show_id
    LEFT JOIN LATERAL (SELECT starts_at FROM known_document WHERE order_id = c.order_id LIMIT 1) d ON true
    ORDER BY c.created_at, c.message_id
""")

RENEW = text("""
    UPDATE message SET due_at = now() + make_interval(secs => :lease)
    WHERE attempt_id = ANY(CAST(:attempts AS uuid[])) RETURNING attempt_id
""")

# A message that was sent is sent, even if its lease was lost meanwhile.
FINISH = text("""
    WITH changed AS (
        UPDATE message
        SET status = :status, attempt_id = NULL, reason = :reason, finished_at = now(),
            channel = :channel, recipient = :recipient
        WHERE message_id = :message_id AND status = 'sending' AND (attempt_id = :attempt_id OR :status = 'sent')
        RETURNING message_id
    ), logged AS (
        UPDATE attempt SET ended_at = now(), outcome = :status, detail = :detail, seconds = :seconds
        WHERE attempt_id = :attempt_id
    ), published AS (
        INSERT INTO outbox (topic, key, value, headers)
        SELECT :topic, :key, :value, CAST(:headers AS json) FROM changed WHERE :topic <> ''
    )
    SELECT message_id FROM changed
""")
AGAIN = text("""
    UPDATE message
    SET attempt_id = NULL, reason = :reason, due_at = now() + make_interval(secs => :pause),
        attempts = attempts - :uncounted
    WHERE message_id = :message_id AND status = 'sending' AND attempt_id = :attempt_id
    RETURNING message_id
""")
LOG = text("UPDATE attempt SET ended_at = now(), outcome = :outcome, detail = :detail WHERE attempt_id = :attempt_id")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message with everything needed to send it."""

    message_id: UUID
    attempt_id: UUID
    cut_off: UUID | None
    """The attempt before, when its sender died: the message may have gone out."""
    organisation: UUID
    order_id: UUID | None
    show_id: UUID | None
    template: str
    channel: str
    recipient: str | None
    recipient_name: str
    params: dict[str, Any]
    documents: list[str]
    traceparent: str | None
    attempts: int
    created_at: datetime
    give_up_at: datetime
    asked_for: bool
    """Staff asked for this message: it goes out whatever has happened since."""
    locale: str | None
    order_state: dict[str, Any] | None
    organisation_name: str | None
    time_zone: str | None
    staff_email: str | None
    staff_phone: str | None
    organisation_locale: str | None
    show_starts_at: datetime | None
    show_status: str | None
    document_starts_at: datetime | None
    takes_no_mail: str | None
    """Why nothing is sent to this address any more."""
    voided: list[UUID] | None
    now: datetime


async def claim(session: AsyncSession, lane: Lane, most: int, lease_seconds: float) -> list[Claimed]:
    """Claims up to `most` messages of a lane that are due, oldest first; commit before calling a provider."""
    rows = await session.execute(CLAIM, {"lane": lane, "most": most, "lease": lease_seconds})
    return [Claimed(**row) for row in rows.mappings()]


async def renew(session: AsyncSession, attempts: Sequence[UUID], lease_seconds: float) -> set[UUID]:
    """Makes the leases last longer. Returns the attempts that still hold theirs."""
    return set(await session.scalars(RENEW, {"attempts": list(attempts), "lease": lease_seconds}))


@dataclass(frozen=True, slots=True)
class End:
    """How a message ended."""

    status: Status
    channel: Channel
    recipient: str
    detail: str
    seconds: float | None = None
    attachments: int = 0


async def finish(connection: AsyncConnection, message: Claimed, end: End) -> bool:
    """Records the final status of a message and publishes it, in one statement.

    False if it had a final status already. Nudge the relay after the commit.
    """
    topic, key, value, headers = _event(message, end)
    changed = await connection.scalar(
        FINISH,
        {
            "message_id": message.message_id,
            "attempt_id": message.attempt_id,
            "status": end.status,
            "reason": None if end.status is Status.SENT else end.detail,
            "detail": end.detail,
            "seconds": end.seconds,
            "channel": end.channel,
            "recipient": end.recipient or message.recipient,
            "topic": topic,
            "key": key,
            "value": value,
            "headers": headers,
        },
    )
    if changed is not None:
        metrics.MESSAGES.labels(message.template, end.channel, end.status).inc()
    return changed is not None


def _event(message: Claimed, end: End) -> outbox.WireRow:
    """The event of a message's end as a row of the outbox; with an empty topic when there is none."""
    state: dict[str, Any] = {
        "message_id": message.message_id,
        "channel": end.channel,
        "template": message.template,
        "recipient_hash": recipient_hash(end.recipient),
        "order_id": message.order_id,
        "attempts": message.attempts,
        "attachments": end.attachments,
    }
    data: MessageSent | MessageFailed
    if end.status is Status.SENT:
        data = MessageSent(**state)
    elif end.status is Status.FAILED:
        data = MessageFailed(**state, reason=without_addresses(end.detail))
    else:
        return "", b"", b"", "[]"
    correlation = str(message.order_id) if message.order_id else None
    organisation = message.organisation if message.organisation != PLATFORM else None
    return outbox.wire_row(outbox.new_event(data, organisation=organisation, version=1, correlation_id=correlation))


async def again(session: AsyncSession, message: Claimed, pause_seconds: float, detail: str, *, counted: bool) -> None:
    """Records that this attempt failed and when the next may begin; `counted` if it reached a provider.

    Nothing changes if the attempt has ended otherwise.
    """
    held = await session.scalar(
        AGAIN,
        {
            "message_id": message.message_id,
            "attempt_id": message.attempt_id,
            "pause": pause_seconds,
            "reason": detail,
            "uncounted": 0 if counted else 1,
        },
    )
    if held is not None:
        outcome = Outcome.RETRY if counted else Outcome.RELEASED
        await session.execute(LOG, {"attempt_id": message.attempt_id, "outcome": outcome, "detail": detail})
