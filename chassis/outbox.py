"""An event is published if and only if the transaction that made it committed, and in order per key.

`add` keeps the event with the session; all events of a transaction are written by one statement just before it
commits, as the final bytes for Kafka. The relay copies them out. Order per key holds only if the aggregate's row is
locked or inserted by the same transaction: otherwise two writers may commit in another order than their row ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from chassis import context, tracing
from contracts.envelope import Event, EventData

D = TypeVar("D", bound=EventData)

WireRow = tuple[str, bytes, bytes, str]
"""Topic, key, value, and the headers as a JSON list of pairs."""

_PENDING = "outbox_pending"
_WRITTEN = "outbox_written"
NUDGE = "outbox_nudge"

INSERT = text("""
    INSERT INTO outbox (topic, key, value, headers)
    SELECT topic, key, value, headers::json
    FROM unnest(CAST(:topics AS text[]), CAST(:keys AS bytea[]), CAST(:values AS bytea[]), CAST(:headers AS text[]))
         WITH ORDINALITY AS event (topic, key, value, headers, n)
    ORDER BY n
""")


def new_event(data: D, *, organisation: UUID | None, version: int = 0, correlation_id: str | None = None) -> Event[D]:
    """An event with a new id (UUIDv7), caused by the request or event that is being handled."""
    return Event(
        id=uuid7(),
        data=data,
        organisation=organisation,
        aggregate_version=version,
        correlation_id=correlation_id or context.correlation_id.get() or context.request_id.get(),
        causation_id=context.causation_id.get(),
        traceparent=tracing.current_traceparent(),
    )


def add(
    session: AsyncSession,
    data: EventData,
    *,
    organisation: UUID | None,
    version: int = 0,
    correlation_id: str | None = None,
) -> UUID:
    """Publishes an event if the session's transaction commits. Returns the event's id.

    `version` is the aggregate's version after the change, `correlation_id` the order the event belongs to. Raises
    `RuntimeError` inside a savepoint: its rollback would take the change back but not the event.
    """
    if session.sync_session.in_nested_transaction():
        raise RuntimeError("add events outside of savepoints")
    event = new_event(data, organisation=organisation, version=version, correlation_id=correlation_id)
    session.sync_session.info.setdefault(_PENDING, []).append(event)
    return event.id


def wire_row(event: Event[EventData]) -> WireRow:
    """The event as a row for `outbox`, for statements that insert it themselves. Nudge the relay after the commit."""
    headers = orjson.dumps(list(event.attributes().items())).decode()
    return event.topic, event.key, event.data.to_json(), headers


def headers_of(stored: str) -> list[tuple[str, bytes]]:
    """The Kafka headers kept in a row of `outbox`."""
    return [(name, value.encode()) for name, value in orjson.loads(stored)]


def insert_parameters(rows: Sequence[WireRow]) -> dict[str, list[Any]]:
    """Parameters of `INSERT` for some rows."""
    topics, keys, values, headers = zip(*rows, strict=True)
    return {"topics": list(topics), "keys": list(keys), "values": list(values), "headers": list(headers)}


@sqlalchemy_event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if session.in_nested_transaction():
        return
    pending: list[Event[EventData]] = session.info.pop(_PENDING, [])
    if pending:
        session.flush()
        session.execute(INSERT, insert_parameters([wire_row(event) for event in pending]))
        session.info[_WRITTEN] = True


@sqlalchemy_event.listens_for(Session, "after_commit")
def _wake(session: Session) -> None:
    if session.info.pop(_WRITTEN, False):
        nudge: Callable[[], None] | None = session.info.get(NUDGE)
        if nudge is not None:
            nudge()


@sqlalchemy_event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    if session.in_nested_transaction():
        return
    session.info.pop(_PENDING, None)
    session.info.pop(_WRITTEN, None)
