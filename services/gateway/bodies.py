"""The body of a request on its way to a service: counted, its beginning gathered, and refused when it grows too large.

How long a client may take is not decided here but where its bytes come in (`chassis.http`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.types import Receive

from chassis.problems import BodyTooLarge, Problem
from services.gateway.errors import BadRequest

GATHERED = 64 * 1024
"""So much of a body is here before a connection of a service is taken, and a body up to this size is whole then."""


class Body:
    """Reads one request's body. `failure` says why it ended early, if it did."""

    def __init__(self, receive: Receive, *, limit: int, length: int | None) -> None:
        if length is not None and length > limit:
            raise BodyTooLarge(f"A body may have {limit} bytes.", limit=limit)
        self._receive = receive
        self._limit = limit
        self._seen = 0
        self._start = b""
        self.whole = False
        self.failure: Problem | None = None

    async def begin(self) -> None:
        """Waits for the beginning. Raises the failure, or `ClientGone`."""
        start = bytearray()
        while len(start) < GATHERED and not self.whole:
            start += await self._part()
        self._start = bytes(start)

    def data(self) -> bytes | AsyncIterator[bytes]:
        """What to send: the same again, as long as nothing of a stream was taken."""
        return self._start if self.whole else self._stream()

    async def _stream(self) -> AsyncIterator[bytes]:
        """The parts as they come; after a failure it raises, which breaks off the request to the service."""
        yield self._start
        while not self.whole:
            part = await self._part()
            if part:
                yield part

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.failure = ClientGone()
            raise self.failure
        part: bytes = message.get("body", b"")
        self._seen += len(part)
        if self._seen > self._limit:
            self.failure = BodyTooLarge(f"A body may have {self._limit} bytes.", limit=self._limit)
            raise self.failure
        self.whole = not message.get("more_body", False)
        return part


class ClientGone(BadRequest):
    """The client broke off while sending; nobody is left to be answered."""

    def __init__(self) -> None:
        super().__init__("The body ended early.")
