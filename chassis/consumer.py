"""What a service does with events: its handlers by type. `chassis.runner` runs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Event, EventData

Handler = Callable[[AsyncSession, Event[Any]], Awaitable[None]]
BatchHandler = Callable[[AsyncSession, Sequence[Event[Any]]], Awaitable[None]]
H = TypeVar("H", bound=Callable[..., Awaitable[None]])


class Consumer:
    """What one consumer group handles. Handlers get a worker session and must not commit."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.handlers: dict[str, Handler] = {}
        self.batch_handlers: dict[str, BatchHandler] = {}

    def on(self, *types: type[EventData]) -> Callable[[H], H]:
        """Registers a handler, called once per event in the order of the partition."""

        def register(handler: H) -> H:
            for kind in types:
                self._claim(kind)
                self.handlers[kind.event_type] = handler
            return handler

        return register

    def on_batch(self, *types: type[EventData]) -> Callable[[H], H]:
        """Registers a handler that gets all events of these types in a batch at once, after the single handlers."""

        def register(handler: H) -> H:
            for kind in types:
                self._claim(kind)
                self.batch_handlers[kind.event_type] = handler
            return handler

        return register

    @property
    def topics(self) -> list[str]:
        return sorted({EventData.known[name].topic for name in (*self.handlers, *self.batch_handlers)})

    def handles(self, event_type: str) -> bool:
        return event_type in self.handlers or event_type in self.batch_handlers

    def _claim(self, kind: type[EventData]) -> None:
        if self.handles(kind.event_type):
            raise ValueError(f"{kind.event_type} has two handlers in {self.group}")
