"""Clients that take their time on purpose: heads and bodies that never end, answers that nobody reads, far too many."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from chassis.clients import Clients, Limits, TooMany, give_back
from chassis.networks import Networks
from tests.harness import eventually, serve

PROXIES = Networks("10.0.0.0/8")
IMPATIENT = Limits(head_seconds=0.3, body_window_seconds=0.3, send_seconds=0.3)
POST = b"POST /count HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /count HTTP/1.1\r\nHost: here\r\n\r\n"


class Seen:
    def __init__(self) -> None:
        self.requests = 0
        self.gone = 0


def application() -> tuple[Starlette, Seen]:
    seen = Seen()

    async def count(request: Request) -> Response:
        seen.requests += 1
        size = 0
        try:
            async for part in request.stream():
                size += len(part)
        except ClientDisconnect:
            seen.gone += 1
            raise
        return PlainTextResponse(f"{size} bytes")

    async def refuse(_: Request) -> Response:
        return PlainTextResponse("no", 413)

    async def endless(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 100_000
                    await asyncio.sleep(0)
            finally:
                seen.gone += 1

        return StreamingResponse(parts())

    routes = [
        Route("/count", count, methods=["GET", "POST"]),
        Route("/refuse", refuse, methods=["POST"]),
        Route("/endless", endless),
    ]
    return Starlette(routes=routes), seen


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def rest(self) -> bytes:
        """What comes until the server closes."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), 60)
        return b""

    async def drip(self, piece: bytes, every: float = 0.02) -> None:
        """Goes on until the server ends it."""
        with contextlib.suppress(ConnectionError):
            while not self.reader.at_eof():
                self.writer.write(piece)
                await self.writer.drain()
                await asyncio.sleep(every)


async def connect(url: str) -> Connection:
    parts = urlsplit(url)
    return Connection(*await asyncio.open_connection(parts.hostname, parts.port))


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /count HT", GET[:-2], GET + b"GET /co"])
async def test_what_is_never_finished_is_ended(sent: bytes) -> None:
    app, _ = application()
    async with serve(app, clients=Clients(IMPATIENT)) as url:
        client = await connect(url)
        client.writer.write(sent)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 200") == sent.startswith(GET)
        assert (b"/problems/too-slow" in answer) == (b"/co" in sent[-12:] or b"HT" in sent[-40:])


@pytest.mark.parametrize(
    ("start", "piece"), [(b"", b"\r\n"), (b"GET /count HTTP/1.1\r\n", b"a: b\r\n"), (POST, b"1\r\nx\r\n")]
)
async def test_a_byte_now_and_then_keeps_nothing_open(start: bytes, piece: bytes) -> None:
    app, seen = application()
    async with serve(app, clients=Clients(IMPATIENT)) as url:
        client = await connect(url)
        client.writer.write(start)
        dripping = asyncio.create_task(client.drip(piece))
        answer = await client.rest()
        await dripping
        assert answer.startswith(b"HTTP/1.1 408") == bool(start)
        if start == POST:
            await eventually(lambda: seen.gone == 1)


async def test_a_head_is_counted_while_it_is_read() -> None:
    app, seen = application()
    async with serve(app) as url:
        client = await connect(url)
        client.writer.write(b"GET /count HTTP/1.1\r\nX-Long: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 60_000_000 and not client.reader.at_eof():
                client.writer.write(b"x" * 100_000)
                await client.writer.drain()
                sent += 100_000
        assert sent < 10_000_000, "the buffers of two sockets, not what the client has"
        assert seen.requests == 0


async def test_a_large_head_that_comes_at_once_does_nothing() -> None:
    app, seen = application()
    async with serve(app, clients=Clients(Limits(head_bytes=2000))) as url:
        client = await connect(url)
        client.writer.write(b"POST /count HTTP/1.1\r\nX-Long: " + b"x" * 3000 + b"\r\nContent-Length: 0\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 431")
        fine = await connect(url)
        fine.writer.write(b"POST /count HTTP/1.1\r\nConnection: close\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000)
        assert (await fine.rest()).endswith(b"9000 bytes")
        assert seen.requests == 1


async def test_an_honest_slow_upload_succeeds() -> None:
    app, _ = application()
    limits = Limits(head_seconds=1.0, body_window_seconds=1.0, body_bytes_per_second=1000)
    async with serve(app, clients=Clients(limits)) as url:
        client = await connect(url)
        client.writer.write(b"POST /count HTTP/1.1\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n")
        for _ in range(50):
            client.writer.write(b"x" * 4000)
            await asyncio.sleep(0.05)
        assert (await client.rest()).endswith(b"200000 bytes")


async def test_unfinished_requests_of_one_client_are_bounded_and_whole_ones_are_not() -> None:
    app, _ = application()
    clients = Clients(Limits(unfinished=5))
    async with serve(app, clients=clients) as url:
        begun = [await connect(url) for _ in range(8)]
        for one in begun:
            one.writer.write(POST)
        await eventually(lambda: clients.unfinished["127.0.0.1"] == 5)
        refused = await asyncio.gather(*(_answered(one, b"429") for one in begun))
        answers = [one for one, is_refused in zip(begun, refused, strict=True) if is_refused]
        assert len(answers) == 3
        for _ in range(20):
            await _whole(url)
        waiting = [one for one in begun if one not in answers]
        waiting[0].writer.close()
        await eventually(lambda: clients.unfinished["127.0.0.1"] == 4)
        waiting[1].writer.write(b"3\r\nabc\r\n0\r\n\r\n")
        assert b"3 bytes" in await asyncio.wait_for(waiting[1].reader.readuntil(b"bytes"), 30)
        await eventually(lambda: clients.unfinished["127.0.0.1"] == 3)
        for one in begun:
            one.writer.close()
        await eventually(lambda: not clients.unfinished)


async def test_connections_of_one_client_are_bounded_and_those_of_a_proxy_are_not() -> None:
    app, _ = application()
    clients = Clients(Limits(connections=3))
    async with serve(app, clients=clients) as url:
        kept = [await connect(url) for _ in range(3)]
        await eventually(lambda: clients.connections["127.0.0.1"] == 3)
        assert (await (await connect(url)).rest()).startswith(b"HTTP/1.1 429")
        kept[0].writer.close()
        await eventually(lambda: clients.connections["127.0.0.1"] == 2)
        await _whole(url)
        for one in kept:
            one.writer.close()
    for more in (
        Clients(Limits(connections=3), proxies=Networks("127.0.0.1")),
        Clients(Limits(connections=3), exempt=Networks("127.0.0.1")),
    ):
        async with serve(app, clients=more) as url:
            open_ = [await connect(url) for _ in range(9)]
            await _whole(url)
            for one in open_:
                one.writer.close()


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (("2001:db8::1", []), ("2001:db8::ffff:1", []), True),
        (("2001:db8::1", []), ("2001:db8:0:1::1", []), False),
        (
            ("10.0.0.1", [(b"x-forwarded-for", b"203.0.113.1")]),
            ("10.0.0.2", [(b"x-forwarded-for", b"203.0.113.1")]),
            True,
        ),
        (
            ("10.0.0.1", [(b"x-forwarded-for", b"203.0.113.1")]),
            ("10.0.0.1", [(b"x-forwarded-for", b"203.0.113.2")]),
            False,
        ),
        (
            ("203.0.113.1", [(b"x-forwarded-for", b"1.1.1.1")]),
            ("203.0.113.1", [(b"x-forwarded-for", b"2.2.2.2")]),
            True,
        ),
        (("10.0.0.1", []), ("10.0.0.1", []), False),
    ],
)
def test_who_counts_as_one_client(first: Any, second: Any, same: bool) -> None:
    clients = Clients(Limits(unfinished=1), PROXIES)
    mine = clients.begin(*first)
    if not same:
        clients.begin(*second)
        return
    with pytest.raises(TooMany):
        clients.begin(*second)
    give_back(clients.unfinished, mine)
    assert clients.begin(*second) == mine


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    app, seen = application()
    async with serve(app, clients=Clients(IMPATIENT)) as url:
        client = await connect(url)
        client.writer.write(b"GET /endless HTTP/1.1\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(lambda: seen.gone == 1)
        client.writer.close()


async def test_who_is_refused_early_can_read_why() -> None:
    app, _ = application()
    async with serve(app) as url:
        client = await connect(url)
        client.writer.write(b"POST /refuse HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n")
        dripping = asyncio.create_task(client.drip(b"x" * 10_000, every=0.01))
        assert (await client.rest()).startswith(b"HTTP/1.1 413")
        await dripping


async def _whole(url: str) -> None:
    client = await connect(url)
    client.writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (await client.rest()).startswith(b"HTTP/1.1 200")


async def _answered(connection: Connection, status: bytes) -> bool:
    try:
        return (await asyncio.wait_for(connection.reader.read(12), 1)).endswith(status)
    except TimeoutError:
        return False
