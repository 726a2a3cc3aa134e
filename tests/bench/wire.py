"""The cheapest HTTP client there is, so that the server is measured: ready-made requests over kept connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import cast

HEAD_END = b"\r\n\r\n"


async def send(host: str, port: int, requests: Sequence[bytes], at_once: int) -> None:
    """Sends every request once, over `at_once` connections that each wait for their answer.

    Raises `RuntimeError` for an answer other than 201.
    """
    waiting = iter(requests)
    loop = asyncio.get_running_loop()
    connections = [await loop.create_connection(lambda: _Connection(waiting), host, port) for _ in range(at_once)]
    await asyncio.gather(*(protocol.done for _, protocol in connections))


class _Connection(asyncio.Protocol):
    """One buyer after another."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._received = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(HEAD_END)
        if not found or not _is_whole(head.lower(), body):
            return
        if head[9:12] != b"201":
            self._fail(f"a hold was answered {self._received[:500]!r}")
            return
        self._received = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._fail(f"the connection was lost: {exc!r}")

    def _ask(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))
        self._transport.abort()


def _is_whole(head: bytes, body: bytes) -> bool:
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
