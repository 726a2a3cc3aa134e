"""Seat changes of a show, told to everybody who looks at its map, a moment after they happened.

Every gateway reads the topics from now on and keeps a short history of the shows that are looked at. What a listener
may count on: after `open` it sees every change, in order, or is told `reset` (fetch the map again) or `dropped` (it was
too slow; connect again). Open the stream first and fetch the map then, and no change falls between the two.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from secrets import token_hex
from typing import Any
from uuid import UUID

import orjson
from aiokafka import ConsumerRecord

from contracts.envelope import Event, EventData
from contracts.ticketing import HoldExtended, HoldPlaced, HoldReleased, ShowState, TicketsIssued, TicketsVoided
from services.gateway import metrics

TOPICS = ("ticketing.hold", "ticketing.ticket", "ticketing.show")
QUIET_SHOWS = 2_000
"""Shows without listeners whose history is kept."""

SHOW_ID = re.compile(rb'"show_id":"([0-9a-f-]{36})"')
HEARTBEAT = b": still here\n\n"
END = b""
DROPPED = b'event: dropped\ndata: {"reason":"too slow; connect again"}\n\n'


class Listener:
    """One open stream. `parts` ends when the listener is sent away."""

    def __init__(self, capacity: int) -> None:
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(capacity)
        self.dropped = False

    def tell(self, part: bytes) -> None:
        if self.dropped:
            return
        try:
            self._waiting.put_nowait(part)
        except asyncio.QueueFull:
            self.dropped = True
            metrics.LIVE_DROPPED.inc()
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self._waiting.put_nowait(None)

    def end(self) -> None:
        """The stream ends after what was told; a browser opens another one by itself."""
        if not self.dropped:
            self.tell(END)

    async def parts(self, heartbeat_seconds: float) -> AsyncGenerator[bytes, None]:
        while True:
            try:
                async with asyncio.timeout(heartbeat_seconds):
                    part = await self._waiting.get()
            except TimeoutError:
                yield HEARTBEAT
                continue
            if part is None:
                yield DROPPED
            if not part:
                return
            yield part


class Show:
    """What is known of one show: who had each seat last, the last changes, and who listens."""

    def __init__(self, epoch: str, history: int) -> None:
        self.epoch = epoch
        self.number = 0
        self.history: deque[tuple[int, bytes]] = deque(maxlen=history)
        self.listeners: set[Listener] = set()
        self._seats: dict[str, tuple[datetime, UUID, str]] = {}

    def change(self, seats: Iterable[str], state: str, holder: UUID, at: datetime) -> None:
        """Seats changed hands. Events of one seat come on several partitions and may be told out of order."""
        accepted = {}
        for seat in seats:
            known = self._seats.get(seat)
            if known is not None and (known[0] > at or (state == "free" and known[1] != holder)):
                continue
            self._seats[seat] = (at, holder, state)
            if known is None or known[1:] != (holder, state):  # a hold that lives longer changes nothing to look at
                accepted[seat] = state
        if accepted:
            self.publish(None, {"seats": accepted})

    def publish(self, name: str | None, data: dict[str, Any]) -> None:
        self.number += 1
        part = event(name, data, f"{self.epoch}-{self.number}")
        self.history.append((self.number, part))
        for listener in self.listeners:
            listener.tell(part)

    def since(self, last_event_id: str) -> list[bytes] | None:
        """What a listener missed; None if that is not known any more."""
        epoch, _, number = last_event_id.rpartition("-")
        if epoch != self.epoch or not number.isascii() or not number.isdigit() or len(number) > 15:
            return None
        seen = int(number)
        oldest = self.history[0][0] if self.history else self.number + 1
        if not oldest - 1 <= seen <= self.number:
            return None
        return [part for n, part in self.history if n > seen]


class Shows:
    """All shows with listeners or recent changes."""

    def __init__(self, *, queue: int, history: int) -> None:
        self._queue = queue
        self._history = history
        self._shows: OrderedDict[UUID, Show] = OrderedDict()
        self._epoch = token_hex(6)
        self.listening = 0

    def wants(self, record: ConsumerRecord[bytes, bytes]) -> bool:
        """Whether somebody looks at the show that a record names, or did lately. Of all others nothing is kept, so
        their records need not be decoded."""
        if not self._shows:
            return False
        named = SHOW_ID.search(record.value or b"")
        return named is None or UUID(named[1].decode()) in self._shows

    def handle(self, happened: Event[EventData]) -> None:
        """Takes an event of `TOPICS`."""
        data = happened.data
        if isinstance(data, HoldPlaced):
            self._show(data.show_id).change((s.seat for s in data.seats), "held", data.hold_id, happened.time)
        elif isinstance(data, HoldExtended):
            self._show(data.show_id).change(data.seats, "held", data.hold_id, happened.time)
        elif isinstance(data, HoldReleased):
            self._show(data.show_id).change(data.seats, "free", data.hold_id, happened.time)
        elif isinstance(data, TicketsIssued):
            self._show(data.show_id).change((t.seat for t in data.tickets), "sold", data.order_id, happened.time)
        elif isinstance(data, TicketsVoided):
            self._show(data.show_id).change((t.seat for t in data.tickets), "free", data.order_id, happened.time)
        elif isinstance(data, ShowState):
            self._show(data.show_id).publish("show", {"status": data.status.value})
        else:
            return
        metrics.LIVE_CHANGES.inc()

    def end(self) -> None:
        """All streams end."""
        for show in self._shows.values():
            for listener in show.listeners:
                listener.end()

    def forget(self) -> None:
        """Events may have been missed: everybody fetches the map again, and no number of before counts any more."""
        self._epoch = token_hex(6)
        listening = {show_id: show.listeners for show_id, show in self._shows.items() if show.listeners}
        self._shows.clear()
        for show_id, listeners in listening.items():
            show = self._show(show_id)
            show.listeners = listeners
            show.publish("reset", {})

    async def stream(
        self, show_id: UUID, last_event_id: str | None, heartbeat_seconds: float
    ) -> AsyncGenerator[bytes, None]:
        """Server-sent events for one listener, until it goes or is sent away."""
        show = self._show(show_id)
        listener = Listener(self._queue)
        missed = show.since(last_event_id) if last_event_id is not None else []
        first = event("reset" if missed is None else "open", {}, f"{show.epoch}-{show.number}")
        # An id goes with `open` only once the missed changes are through, or a second break would lose them.
        start = [*missed, first] if missed else [first]
        show.listeners.add(listener)
        self.listening += 1
        metrics.LIVE_LISTENERS.set(self.listening)
        try:
            yield b"retry: 2000\n\n" + b"".join(start)
            async for part in listener.parts(heartbeat_seconds):
                yield part
        finally:
            self._show(show_id).listeners.discard(listener)
            show.listeners.discard(listener)
            self.listening -= 1
            metrics.LIVE_LISTENERS.set(self.listening)

    def _show(self, show_id: UUID) -> Show:
        show = self._shows.get(show_id)
        if show is None:
            show = self._shows[show_id] = Show(self._epoch, self._history)
            if len(self._shows) > QUIET_SHOWS:
                self._forget_quiet()
        self._shows.move_to_end(show_id)
        return show

    def _forget_quiet(self) -> None:
        quiet = [show_id for show_id, show in self._shows.items() if not show.listeners]
        for show_id in quiet[: len(quiet) // 2 + 1]:
            del self._shows[show_id]
        # Their numbers begin again: what a listener remembers of them must not be taken for the new ones.
        self._epoch = token_hex(6)


def event(name: str | None, data: dict[str, Any], id: str) -> bytes:
    """One server-sent event. JSON keeps line breaks out of it."""
    head = f"event: {name}\n" if name else ""
    return f"{head}id: {id}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"
