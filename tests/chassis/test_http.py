"""Answers are sent together, and whole, by a real server to real sockets."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from chassis.clients import Clients
from chassis.http import MOST
from tests.harness import serve

PIECE = b"0123456789abcdef" * 1024
PIECES = 512


async def plain(_: Request) -> Response:
    return PlainTextResponse("body")


async def long(_: Request) -> Response:
    async def parts():
        for _ in range(PIECES):
            yield PIECE

    return StreamingResponse(parts())


APP = Starlette(routes=[Route("/plain", plain), Route("/long", long)])


def request(path: str, connection: str = "keep-alive") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: {connection}\r\n\r\n".encode()


class Pieces(asyncio.Protocol):
    """Keeps what comes, in the pieces in which it comes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = asyncio.Event()
        self.arrived = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


async def connect(url: str) -> tuple[asyncio.Transport, Pieces]:
    parts = urlsplit(url)
    return await asyncio.get_running_loop().create_connection(Pieces, parts.hostname, parts.port)


async def test_head_and_body_come_in_one_piece():
    async with serve(APP) as url:
        transport, seen = await connect(url)
        for _ in range(3):
            seen.arrived.clear()
            seen.pieces.clear()
            transport.write(request("/plain"))
            await seen.arrived.wait()
            (piece,) = seen.pieces
            assert piece.startswith(b"HTTP/1.1 200")
            assert piece.endswith(b"\r\n\r\nbody")
        transport.close()


async def test_answers_to_requests_sent_at_once_keep_their_order():
    async with serve(APP) as url:
        transport, seen = await connect(url)
        transport.write(request("/plain") * 4 + request("/plain", "close"))
        await seen.closed.wait()
        assert b"".join(seen.pieces).count(b"\r\n\r\nbody") == 5


async def test_a_long_answer_is_whole_and_waits_for_a_slow_reader():
    async with serve(APP) as url:
        slow, seen = await connect(url)
        slow.write(request("/long", "close"))
        slow.pause_reading()
        quick, other = await connect(url)
        quick.write(request("/plain", "close"))
        await other.closed.wait()
        assert not seen.closed.is_set()
        slow.resume_reading()
        await seen.closed.wait()
        body = b"".join(seen.pieces)
        assert body.count(PIECE) == PIECES
        assert body.endswith(b"0\r\n\r\n")
        assert len(PIECE) * PIECES > 10 * MOST


async def test_a_client_that_leaves_harms_nobody():
    async with serve(APP) as url:
        gone, _ = await connect(url)
        stays, seen = await connect(url)
        gone.write(request("/long"))
        stays.write(request("/plain", "close"))
        gone.abort()
        await seen.closed.wait()
        assert b"".join(seen.pieces).endswith(b"body")


async def test_a_polite_stop_lets_a_long_answer_finish_and_says_close():
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def export(_: Request) -> Response:
        begun.set()
        await go_on.wait()
        return PlainTextResponse("all of it")

    clients = Clients()

    async def finish() -> None:
        await clients.stopping.wait()
        go_on.set()

    finishing = asyncio.create_task(finish())
    async with serve(Starlette(routes=[Route("/export", export)]), clients=clients) as url:
        idle, idle_seen = await connect(url)
        busy, seen = await connect(url)
        busy.write(request("/export"))
        await begun.wait()
    await idle_seen.closed.wait()
    await seen.closed.wait()
    answer = b"".join(seen.pieces)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"all of it")
    await finishing
    idle.close()
