"""What happens to events between Kafka and the database: handled exactly once, in transactions of a bearable length.

A part of a batch is one transaction: inbox, effects and new events commit together. If it fails for a reason that no
record is to blame for (database gone, deadlock, a column that is not there yet) the error is raised, and whoever calls
tries again, for as long as it takes; for any other, each event gets a transaction of its own, and the bad are told.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from opentelemetry.trace import SpanKind
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import context, forgotten, inbox, metrics, tracing
from chassis.consumer import BatchHandler, Consumer
from chassis.db import Database
from chassis.errors import Permanent, is_no_records_fault
from chassis.logging import get_logger
from contracts.envelope import Event, EventData

log = get_logger(__name__)

R = TypeVar("R")

Bad: TypeAlias = "list[tuple[R, str]]"
"""Records that cannot be handled, with the reason."""

TRANSACTION_SECONDS = 0.2
"""About how long a transaction may hold its locks: people wait for the same rows. Sets how many events it gets."""
ATTEMPTS = 3
"""How often a record alone is tried before it is a dead letter: a lost race may succeed the second time."""


class Handling:
    """Applies events by the handlers of a consumer."""

    def __init__(self, consumer: Consumer, db: Database, erasure_key: SecretStr) -> None:
        self._consumer = consumer
        self._db = db
        self._erasure_key = erasure_key
        self._chunk = 20

    async def apply(self, events: Sequence[tuple[R, Event[EventData]]]) -> Bad[R]:
        """Raises what no record is to blame for; what was handled before stays so."""
        bad: Bad[R] = []
        while events:
            chunk, events = events[: self._chunk], events[self._chunk :]
            bad += await self._apply_chunk(chunk)
        return bad

    async def apply_alone(self, event: Event[EventData]) -> str | None:
        """The reason why the event cannot be handled, if so. Raises what it is not to blame for."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._apply([event])
                return None
            except Permanent as error:
                return f"permanent: {error}"
            except Exception as error:
                if is_no_records_fault(error):
                    raise
                log.warning("event failed", event_id=str(event.id), attempt=attempt, exc_info=True)
                reason = f"{type(error).__name__}: {error}"
                await asyncio.sleep(0.05 * attempt)
        return reason

    async def _apply_chunk(self, events: Sequence[tuple[R, Event[EventData]]]) -> Bad[R]:
        """One transaction for all, or one for each if that fails."""
        started = time.monotonic()
        try:
            await self._apply([event for _, event in events])
        except Exception as error:
            if is_no_records_fault(error):
                self._chunk = max(self._chunk // 2, 1)
                raise
            log.info("batch split", records=len(events), error=repr(error))
            reasons = [(record, await self.apply_alone(event)) for record, event in events]
            return [(record, reason) for record, reason in reasons if reason]
        self._adapt(len(events), time.monotonic() - started)
        return []

    def _adapt(self, done: int, seconds: float) -> None:
        if seconds > 2 * TRANSACTION_SECONDS:
            self._chunk = max(self._chunk // 2, 1)
        elif done == self._chunk and seconds < TRANSACTION_SECONDS / 2:
            self._chunk *= 2

    async def _apply(self, events: Sequence[Event[EventData]]) -> None:
        async with self._db.as_worker() as session:
            new = await inbox.record(session, self._consumer.group, [event.id for event in events])
            batches: dict[BatchHandler, list[Event[EventData]]] = {}
            handled = []
            told = await forgotten.take_out(session, self._erasure_key, events)
            for original, event in zip(events, told, strict=True):
                if original.id not in new:
                    metrics.EVENTS_SKIPPED.labels("duplicate").inc()
                    continue
                new.discard(original.id)
                if event is None:
                    metrics.EVENTS_SKIPPED.labels("of somebody who was erased").inc()
                    continue
                handled.append(event)
                if batch_handler := self._consumer.batch_handlers.get(event.type):
                    batches.setdefault(batch_handler, []).append(event)
                else:
                    await self._call(session, event)
            for batch_handler, together in batches.items():
                await batch_handler(session, together)
        _measure(handled)

    async def _call(self, session: AsyncSession, event: Event[EventData]) -> None:
        with (
            context.handling(event.id, event.type, event.correlation_id),
            tracing.span(f"handle {event.type}", event.traceparent, SpanKind.CONSUMER),
        ):
            await self._consumer.handlers[event.type](session, event)


def _measure(handled: Sequence[Event[EventData]]) -> None:
    """Counts events, and how old the oldest of the batch has become."""
    for name, count in Counter(event.type for event in handled).items():
        metrics.EVENTS_HANDLED.labels(name).inc(count)
    if handled:
        metrics.EVENT_AGE.observe((datetime.now(UTC) - min(event.time for event in handled)).total_seconds())
