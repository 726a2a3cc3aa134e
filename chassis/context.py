"""What the current request or event is about, bound at the edge and carried into logs and outgoing events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

import structlog

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
causation_id: ContextVar[UUID | None] = ContextVar("causation_id", default=None)


def bind(**values: object) -> None:
    """Adds to every log line of the current request or event: `bind(order_id=order.id)`."""
    structlog.contextvars.bind_contextvars(**{name: str(value) for name, value in values.items()})


@contextmanager
def handling(event_id: UUID, event_type: str, correlation: str | None) -> Iterator[None]:
    """Marks everything inside as caused by one event."""
    tokens = (causation_id.set(event_id), correlation_id.set(correlation))
    # The correlation of a sale is its order: its id stands in every line about it, in whatever service.
    bound = {"event_id": str(event_id), "event_type": event_type}
    if correlation is not None:
        bound["correlation_id"] = correlation
    with structlog.contextvars.bound_contextvars(**bound):
        try:
            yield
        finally:
            causation_id.reset(tokens[0])
            correlation_id.reset(tokens[1])
