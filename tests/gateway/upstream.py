"""Services behind the gateway under test: real sockets that answer, stream, stall and break off as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.types import Receive, Scope, Send

MEGABYTE = b"m" * 1024 * 1024


class Echo:
    """Answers with what it was sent; some paths behave badly."""

    url = ""

    def __init__(self) -> None:
        self.first_part = asyncio.Event()
        """Set when the first part of an upload has come."""
        self.go_on = asyncio.Event()
        """A download pauses after its first part until this is set."""
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.requests += 1
        path = scope["path"]
        if path == "/slow":
            await asyncio.sleep(3)
        if path == "/big":
            await self._download(send)
        elif path == "/again":
            headers = [(b"location", f"{self.url}/there".encode()), (b"set-cookie", b"a=b"), (b"x-of-mine", b"1")]
            await _answer(send, 307, b"", headers)
        elif path == "/problem":
            await _answer(send, 409, b'{"type":"/problems/x"}', [(b"content-type", b"application/problem+json")])
        elif path == "/openapi.json":
            await _answer(send, 404, b"{}", [])
        else:
            await self._echo(scope, receive, send)

    async def _echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        digest, size = hashlib.sha256(), 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            digest.update(message.get("body", b""))
            size += len(message.get("body", b""))
            if size:
                self.first_part.set()
            if not message.get("more_body"):
                break
        told = {
            "method": scope["method"],
            "path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
            "size": size,
            "sha256": digest.hexdigest(),
        }
        await _answer(send, 200, json.dumps(told).encode(), [(b"content-type", b"application/json")])

    async def _download(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/csv")]})
        for number in range(20):
            await send({"type": "http.response.body", "body": MEGABYTE, "more_body": True})
            if number == 0:
                await self.go_on.wait()
        await send({"type": "http.response.body", "body": b""})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    start = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[str]:
    """A server that speaks bytes, for answers no well-behaved one gives."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
