"""The body of a request on its way to a service: counted, never kept, and refused when it grows too large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Message, Receive

from chassis.problems import Problem
from services.gateway.errors import BadRequest, BodyTooLarge, UploadTooSlow

GATHERED = 64 * 1024
"""A body up to this size is passed on in one piece."""


class Body:
    """Reads one request's body. `failure` says why it ended early, if it did."""

    def __init__(self, receive: Receive, *, limit: int, length: int | None, silence_seconds: float) -> None:
        if length is not None and length > limit:
            raise BodyTooLarge(f"A body may have {limit} bytes.", limit=limit)
        self._receive = receive
        self._limit = limit
        self._silence = silence_seconds
        self._seen = 0
        self.failure: Problem | None = None

    async def gather(self) -> bytes:
        """The whole of a small body. Raises the failure, or `ClientGone`."""
        try:
            async with asyncio.timeout(self._silence):
                part, more = await self._part()
                while more:
                    further, more = await self._part()
                    part += further
        except TimeoutError:
            raise self._too_slow() from None
        return part

    async def stream(self) -> AsyncIterator[bytes]:
        """The parts as they come; after a failure it raises, which breaks off the request to the service."""
        more = True
        while more:
            try:
                async with asyncio.timeout(self._silence):
                    part, more = await self._part()
            except TimeoutError:
                self.failure = self._too_slow()
                raise self.failure from None
            if part:
                yield part

    async def watched(self) -> Message:
        """An ASGI `receive` for our own routes; after a failure the body ends, and `failure` is to be answered."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._limit:
                self.failure = BodyTooLarge(f"A body may have {self._limit} bytes.", limit=self._limit)
                return {"type": "http.request", "body": b"", "more_body": False}
        return message

    def _too_slow(self) -> Problem:
        return UploadTooSlow(f"Nothing of the body came for {self._silence:.0f} seconds.")

    async def _part(self) -> tuple[bytes, bool]:
        """The next part, and whether there are more."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.failure = ClientGone()
            raise self.failure
        part: bytes = message.get("body", b"")
        self._seen += len(part)
        if self._seen > self._limit:
            self.failure = BodyTooLarge(f"A body may have {self._limit} bytes.", limit=self._limit)
            raise self.failure
        return part, message.get("more_body", False)


class ClientGone(BadRequest):
    """The client broke off while sending; nobody is left to be answered."""

    def __init__(self) -> None:
        super().__init__("The body ended early.")
