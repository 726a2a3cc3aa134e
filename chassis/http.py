"""uvicorn's HTTP protocol with fewer calls of the system, and with an end for whatever a client does not finish.

What one turn of the event loop answers is sent together: head and body of an answer would be two writes, and each write
of a busy service wakes its client anew; of a hold that was a tenth of the time. Why the deadlines are here and not in
another server: docs/adr/0013.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from chassis import problems
from chassis.clients import Clients, TooMany, give_back
from chassis.metrics import CONNECTIONS_CUT
from chassis.problems import HeadersTooLarge, Problem, TooManyRequests, TooSlow

LINGER_SECONDS = 2.0
"""How long the rest of a body is thrown away after its request was answered."""
MOST = 64 * 1024
"""Bytes of a connection that wait for the end of the turn."""


class Stage(Enum):
    """What of a request a connection waits for. After `REFUSED` it waits for nothing."""

    IDLE, HEAD, BODY, REFUSED = range(4)


class GatheringTransport:
    """A transport that writes at the end of the loop's turn; all else is that of the real one."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(data)
        self._size += len(data)
        if self._size > MOST:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting, self._size = self._waiting, [], 0
        if waiting and not self._transport.is_closing():
            self._transport.write(b"".join(waiting))

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, for clients that take their time on purpose: deadlines and counts for what is unfinished.

    A request that comes whole, as nearly all do, sets no timer and is not counted.
    """

    def __init__(self, *arguments: Any, clients: Clients | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._clients = clients or Clients()
        self._limits = self._clients.limits
        self._stage = Stage.IDLE
        self._new = False
        self._part = self._head = self._got = 0
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._counted: str | None = None
        self._connected: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheringTransport(transport, self.loop))  # type: ignore[arg-type]
        try:
            self._connected = self._clients.connect(self._peer)
        except TooMany:
            self._cut("connections", TooManyRequests("Your address has too many connections open. Close some."))
            return
        self._timer = self.loop.call_later(self._limits.head_seconds, self._silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finished()
        self._stop_timer()
        self._writes_again()
        give_back(self._clients.connections, self._connected)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._stage
        if before is Stage.REFUSED:
            return
        self._new, self._part = False, len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if before is Stage.BODY:
            self._got += len(data)
        elif self._stage is Stage.HEAD:
            self._head += len(data)
            # The first part may be the end of something else.
            if before is Stage.HEAD and not self._new and self._head > self._limits.head_bytes:
                self._cut("head too large", self._head_too_large())
                return
        waits = self._stage is Stage.IDLE and (self.cycle is None or self.cycle.response_complete)
        if waits or self._stage is not before or self._timer is not None:
            self._watch(before, waits)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._stage, self._head, self._new = Stage.HEAD, 0, True

    def on_headers_complete(self) -> None:
        most = self._limits.head_bytes
        if self._head + self._part > most and sum(len(name) + len(value) for name, value in self.headers) > most:
            self._cut("head too large", self._head_too_large())
            raise ValueError("ends the parsing: nothing is done for this request")
        super().on_headers_complete()
        self._stage = Stage.BODY

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stage = Stage.IDLE

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._stage is Stage.BODY and not self.transport.is_closing():
            # What still comes is thrown away, for a moment: a client that is sending has not read the answer yet.
            self._restart(LINGER_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        """The server stops: what is under way may end, and long streams are told to."""
        self._clients.stopping.set()
        super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self._limits.send_seconds, self._never_reads)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._writes_again()

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else ""

    def _head_too_large(self) -> Problem:
        return HeadersTooLarge(f"The head of a request may have {self._limits.head_bytes} bytes.")

    def _watch(self, before: Stage, waits: bool) -> None:
        """After a part: sets the clock for what is to come, if anything is."""
        if self._stage is Stage.IDLE:
            self._finished()
            if not waits:
                self._stop_timer()
            elif self._timer is None or before is not Stage.IDLE:
                # Line breaks between requests are no request, and do not keep a connection open.
                self._restart(self._limits.head_seconds, self._silent)
            return
        if self._counted is None:
            try:
                self._counted = self._clients.begin(self._peer, self.headers if self._stage is Stage.BODY else [])
            except TooMany:
                self._cut("unfinished", TooManyRequests("Your address has too many unfinished requests. Finish some."))
                return
        if self._stage is before and not self._new:
            return
        if self._stage is Stage.HEAD:
            self._restart(self._limits.head_seconds, self._silent)
        else:
            self._got, self._since = 0, self.loop.time()
            self._restart(self._limits.body_window_seconds, self._measure)

    def _measure(self) -> None:
        """Whether enough of the body came since last time. A client that had to wait for us is not slow."""
        limits, waited_for_us = self._limits, self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self.loop.time() - self._since > limits.body_seconds:
            self._cut("body too slow", TooSlow(f"The body did not arrive within {limits.body_seconds:.0f} seconds."))
        elif self._got < limits.body_bytes_per_second * limits.body_window_seconds and not waited_for_us:
            self._cut("body too slow", TooSlow(f"Send at least {limits.body_bytes_per_second:.0f} bytes a second."))
        else:
            self._got = 0
            self._restart(limits.body_window_seconds, self._measure)

    def _silent(self) -> None:
        if self._stage is Stage.IDLE:
            self.transport.close()
        else:
            self._cut("head too slow", TooSlow(f"The head did not arrive in {self._limits.head_seconds:.0f} seconds."))

    def _never_reads(self) -> None:
        CONNECTIONS_CUT.labels("never reads").inc()
        self.transport.abort()

    def _writes_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _restart(self, seconds: float, act: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, act)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _finished(self) -> None:
        give_back(self._clients.unfinished, self._counted)
        self._counted = None

    def _cut(self, reason: str, problem: Problem) -> None:
        """Says what is wrong, if nothing else was said, and ends the connection; the application sees a client that
        went away."""
        CONNECTIONS_CUT.labels(reason).inc()
        answering = self.cycle is not None and not self.cycle.response_complete
        self._stage = Stage.REFUSED
        if not (answering and self.cycle.response_started):
            content = problems.body(problem.status, problem.slug, problem.title, problem.detail)
            self.transport.write(_head_of(problem, len(content), self.server_state.default_headers) + content)
        if answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def _head_of(problem: Problem, length: int, default: list[tuple[bytes, bytes]]) -> bytes:
    headers = [
        *default,
        (b"content-type", problems.MEDIA_TYPE.encode()),
        (b"content-length", str(length).encode()),
        (b"connection", b"close"),
        *((name.lower().encode(), value.encode("latin-1")) for name, value in problem.headers.items()),
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[problem.status] + lines + b"\r\n"
