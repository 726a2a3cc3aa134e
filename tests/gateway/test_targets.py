"""Whatever is written into a path, a request reaches the service that the path names, or nobody."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from services.gateway import targets
from services.gateway.errors import BadRequest, NoSuchService
from services.gateway.forwarding import Upstream
from tests.gateway.conftest import Gateway, Serve
from tests.gateway.upstream import Echo, raw_server

PIECES = [
    *("orders", "ticketing", "x", "metrics", "127.0.0.1:9399", "evil.example", "user:pw", "[::1]", "é"),
    *("/", "//", "@", ":", ";", "?", "#", "\\", ".", "..", "%", " ", "\t", "\0", "~", "&=+$,!*'()"),
    *("%2F", "%2f", "%40", "%5C", "%00", "%3B", "%3f", "%23", "%0d%0a", "%2e%2e", "%252F", "%2540", "%25", "%zz"),
    *("%c3%a9", "%ff", "%ef%bb%bf", "http://"),
]
PATHS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
SERVICES = [Upstream("orders", "http://192.0.2.1:8001"), Upstream("ticketing", "http://services.example/base/")]


@given(PATHS)
@example("orders%2F@127.0.0.1:9399/latest/meta-data/")
@example("orders/%252e%252e/metrics")
def test_what_is_asked_is_what_was_checked(written: str) -> None:
    raw = b"/api/" + written.encode()
    try:
        name, path = targets.split(raw)
    except (BadRequest, NoSuchService):
        return
    sent = raw[len(f"/api/{name}/") :].split(b"/")
    parts = path[1:].split("/")
    assert [unquote_to_bytes(part) for part in parts] == [unquote_to_bytes(part) for part in sent]
    assert not {"..", "."} & {unquote_to_bytes(part).decode() for part in parts}
    assert next((part for part in parts if part), "").lower() not in targets.INTERNAL
    for service in SERVICES:
        root = URL(service.base)
        # Read again from its text, as a client or another proxy would read it.
        again = URL(str(service.url(path, "q=1")), encoded=True)
        assert (again.scheme, again.host, again.port, again.user) == ("http", root.host, root.port, None)
        assert again.raw_path == root.raw_path.rstrip("/") + path
        assert again.query_string == "q=1"


@given(st.binary(max_size=30))
def test_a_query_cannot_end_the_request_line(query: bytes) -> None:
    try:
        passed = targets.query_of(query)
    except BadRequest:
        return
    assert passed.encode() == query
    assert not set(query) & set(b" \r\n\t#\0")


ATTACKS = [
    "/api/orders%2F@{foreign}/latest/meta-data/",
    "/api/orders%2f%40{foreign}/",
    "/api/orders@{foreign}/",
    "/api/orders%40{foreign}/",
    "/api/orders%5C@{foreign}/",
    "/api/orders\\@{foreign}/",
    "/api/orders%00@{foreign}/",
    "/api/orders;@{foreign}/",
    "/api/orders%3B@{foreign}/",
    "/api/orders%252F@{foreign}/",
    "/api/orders:@{foreign}/",
    "/api/orders//{foreign}/",
    "/api/orders/@{foreign}/",
    "/api/orders/..%2F@{foreign}/",
    "/api/orders/%2e%2e/@{foreign}/",
    "/api//{foreign}/",
    "/api/http://{foreign}/",
    "http://{foreign}/api/orders/x",
    "//{foreign}/api/orders/x",
    "http://orders@{foreign}/api/orders%2F@{foreign}/x",
]


async def test_no_path_leads_to_a_foreign_host(serve_gateway: Serve, echo: Echo) -> None:
    visitors = 0

    async def foreign(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visitors
        visitors += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret")

    async with raw_server(foreign) as url, serve_gateway() as gateway:
        for attack in ATTACKS:
            target = attack.format(foreign=url.removeprefix("http://"))
            answer = await _ask(gateway, f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert b"secret" not in answer, target
            assert answer[9:12] in (b"200", b"400", b"404", b"405"), (target, answer)
    assert visitors == 0


@pytest.mark.parametrize("asked", ["/api/orders/a%2fb", "/api/orders/%zz", "/api/orders/%ff", "/api/orders/x?a=é"])
async def test_what_two_readers_could_read_differently_is_refused(gateway: Gateway, asked: str) -> None:
    assert (await _ask(gateway, f"GET {asked} HTTP/1.1\r\nHost: x\r\n\r\n"))[9:12] == b"400"


async def _ask(gateway: Gateway, request: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    try:
        writer.write(request.encode())
        return await asyncio.wait_for(reader.read(65_536), 30)
    finally:
        writer.close()
