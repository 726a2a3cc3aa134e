"""Passing requests to services: streams, headers, limits, and services that fail."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections.abc import AsyncIterator
from functools import partial

import aiohttp
import pytest
from yarl import URL

from services.gateway import forwarding, metrics
from tests.gateway.conftest import Gateway, Serve, claims_told, content
from tests.gateway.upstream import MEGABYTE, Echo, raw_server
from tests.harness import eventually


async def test_the_whole_request_arrives(gateway: Gateway) -> None:
    path = "/api/orders/%D1%81/a%20b?q=%D1%96&q=2&z=%26"
    async with gateway.client.put(
        URL(gateway.url + path, encoded=True),
        data=b"body",
        headers={"If-Match": '"v1"', "Accept": "x/y"},
    ) as answer:
        told = await content(answer)
    headers = dict(told["headers"])
    assert (told["method"], told["path"], told["query"]) == ("PUT", "/%D1%81/a%20b", "q=%D1%96&q=2&z=%26")
    assert told["sha256"] == hashlib.sha256(b"body").hexdigest()
    assert (headers["if-match"], headers["accept"]) == ('"v1"', "x/y")
    assert headers["x-forwarded-for"] == "127.0.0.1"


FORGED = {
    "X-Forwarded-For": "1.2.3.4",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": "for=1.2.3.4",
    "X-Real-Ip": "1.2.3.4",
    "X-Footlights-Account": "root",
    "ce_type": "orders.order.paid.v1",
    "ce-organisation": "00000000-0000-0000-0000-000000000000",
    "x_organisation": "theatre",
    "X-Organisation": "theatre",
    "Cookie": "footlights_session=forged; a=b",
    "X-CSRF-Token": "forged",
    "TE": "trailers",
    "Keep-Alive": "timeout=5",
    "Proxy-Authorization": "Basic dTpw",
    "Connection": "keep-alive, X-Hop",
    "X-Hop": "1",
}


async def test_forged_headers_do_not_pass(gateway: Gateway) -> None:
    status, told = await gateway.ask("GET", "/api/orders/x", headers=FORGED)
    assert status == 200
    headers = dict(told["headers"])
    for name in FORGED:
        if name.lower() not in ("x-forwarded-for", "connection"):
            assert name.lower() not in headers, name
    assert headers["x-forwarded-for"] == "127.0.0.1", "only a trusted proxy is believed"
    assert set(claims_told(told)) == {"net", "iss", "aud", "iat", "exp"}, (
        "nobody's token, which the gateway made itself"
    )


async def test_a_token_says_from_which_network(serve_gateway: Serve) -> None:
    async with serve_gateway(trusted_proxies="127.0.0.0/8", rate_per_second=0) as gateway:
        browser = await gateway.signed_in("moving@example.com")
        seen = []
        for ask in (gateway.ask, browser.ask):
            for address in ("203.0.113.7", "2001:db8:1:2:3::4", "2001:db8:1:2:ffff::9", "2001:db8:1:3::9"):
                _, told = await ask("GET", "/api/orders/x", headers={"X-Forwarded-For": address})
                seen.append(claims_told(told)["net"])
        assert seen == ["203.0.113.7", "2001:db8:1:2::/64", "2001:db8:1:2::/64", "2001:db8:1:3::/64"] * 2


async def test_what_may_be_sent_once_is_refused_twice(gateway: Gateway) -> None:
    headers = [("Authorization", "Bearer flk_a"), ("Authorization", "Bearer flk_b")]
    assert (await gateway.ask("GET", "/api/orders/x", headers=headers))[0] == 400


async def test_smuggling_by_two_lengths_is_refused(gateway: Gateway) -> None:
    port = int(gateway.url.rpartition(":")[2])
    for extra in (
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /api/orders/x HTTP/1.1\r\nHost: x\r\n" + extra + b"\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        assert b"200 OK" not in answer
        assert answer.startswith(b"HTTP/1.1 400")
        writer.close()


async def test_a_trusted_proxy_names_the_client(serve_gateway: Serve) -> None:
    async with serve_gateway(trusted_proxies="127.0.0.1/32,10.0.0.0/8") as gateway:
        for sent, seen in (
            ("203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
            ("junk", "127.0.0.1"),
        ):
            _, told = await gateway.ask("GET", "/api/orders/x", headers={"X-Forwarded-For": sent})
            assert dict(told["headers"])["x-forwarded-for"] == seen


async def test_request_ids_and_traces(gateway: Gateway) -> None:
    async with gateway.client.get(gateway.url + "/api/orders/x", headers={"X-Request-Id": "my-id.12345"}) as answer:
        told = await content(answer)
        assert answer.headers.getall("X-Request-Id") == ["my-id.12345"]
        assert dict(told["headers"])["x-request-id"] == "my-id.12345"
        assert dict(told["headers"])["traceparent"].startswith("00-")
    for bad in ("short", "with space in it", "x" * 65):
        async with gateway.client.get(gateway.url + "/api/orders/x", headers={"X-Request-Id": bad}) as answer:
            assert len(answer.headers["X-Request-Id"]) == 32
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    _, told = await gateway.ask("GET", "/api/orders/x", headers={"traceparent": trace})
    assert dict(told["headers"])["traceparent"] == trace
    async with gateway.client.get(gateway.url + "/auth/me", headers={"X-Request-Id": "my-id.12345"}) as answer:
        assert answer.headers.getall("X-Request-Id") == ["my-id.12345"]
        assert (await content(answer))["request_id"] == "my-id.12345"


async def test_security_headers(gateway: Gateway) -> None:
    for path in ("/", "/api/orders/x", "/auth/me", "/api/nowhere/x"):
        async with gateway.client.get(gateway.url + path) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert len(answer.headers.getall("Date")) == 1


async def test_redirects_and_problems_pass_and_cookies_do_not(gateway: Gateway) -> None:
    async with gateway.client.get(gateway.url + "/api/orders/again", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, "/api/orders/there")
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["X-Of-Mine"] == "1"
    assert await gateway.ask("GET", "/api/orders/problem") == (409, {"type": "/problems/x"})


async def test_head_has_no_body(gateway: Gateway) -> None:
    async with gateway.client.head(gateway.url + "/api/orders/x") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/orders/metrics", 404),
        ("/api/orders/%6detrics", 404),
        ("/api/orders//readyz", 404),
        ("/api/orders/healthz/", 404),
        ("/api/orders/docs", 404),
        ("/api/orders/openapi.json", 404),
        ("/api/nowhere/x", 404),
        ("/api", 404),
        ("/api/", 404),
        ("/api/orders/../ticketing", 400),
        ("/api/orders/a/%2e%2e/metrics", 400),
        ("/api/orders/a%2f..%2fmetrics", 400),
        ("/api/orders/a%00b", 400),
        ("/api/orders/a%5c..", 400),
        ("/api/%6frders/x", 400),
        ("/api/orders", 200),
        ("/api/orders/", 200),
    ],
)
async def test_paths(gateway: Gateway, path: str, expected: int) -> None:
    url = URL(gateway.url + path, encoded=True)
    async with gateway.client.get(url) as answer:
        assert answer.status == expected, await answer.text()


async def test_an_upload_of_20_mb_streams(gateway: Gateway, echo: Echo) -> None:
    echo.first_part.clear()

    async def parts() -> AsyncIterator[bytes]:
        yield MEGABYTE
        # The service has the beginning before the client has sent the rest.
        await asyncio.wait_for(echo.first_part.wait(), 10)
        for _ in range(19):
            yield MEGABYTE

    status, told = await gateway.ask("POST", "/api/orders/import", data=parts())
    assert (status, told["size"]) == (200, 20 * len(MEGABYTE))
    assert told["sha256"] == hashlib.sha256(MEGABYTE * 20).hexdigest()


async def test_a_download_of_20_mb_streams(gateway: Gateway, echo: Echo) -> None:
    echo.go_on.clear()
    async with gateway.client.get(gateway.url + "/api/orders/big") as answer:
        size = len(await asyncio.wait_for(answer.content.readany(), 10))
        # The client has the beginning before the service has sent the rest.
        echo.go_on.set()
        async for part in answer.content.iter_any():
            size += len(part)
    assert size == 20 * len(MEGABYTE)


async def test_a_client_that_leaves_ends_the_download(gateway: Gateway, echo: Echo) -> None:
    echo.go_on.clear()
    async with gateway.client.get(gateway.url + "/api/orders/big") as answer:
        await answer.content.readany()
        answer.close()
    echo.go_on.set()
    assert (await gateway.ask("GET", "/api/orders/x"))[0] == 200


async def test_bodies_have_a_limit(serve_gateway: Serve) -> None:
    async def chunked(size: int) -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"x" * 1000

    async with serve_gateway(max_body_bytes=100_000) as gateway:
        for path in ("/api/orders/x", "/auth/sign-in"):
            for data in (b"x" * 100_001, chunked(150)):
                status, problem = await gateway.ask("POST", path, data=data)
                assert (status, problem["type"]) == (413, "/problems/body-too-large")
        assert (await gateway.ask("POST", "/api/orders/x", data=b"x" * 100_000))[0] == 200
        assert (await gateway.ask("POST", "/api/orders/x", data=chunked(100)))[0] == 200


async def test_headers_have_a_limit(gateway: Gateway) -> None:
    for headers in ({"X-Long": "x" * 17_000}, {f"X-{n}": "1" for n in range(100)}):
        assert (await gateway.ask("GET", "/api/orders/x", headers=headers))[0] == 431


async def test_rates_are_limited_per_client(serve_gateway: Serve) -> None:
    async with serve_gateway(rate_per_second=5, rate_burst=10, rate_exempt="", trusted_proxies="127.0.0.1") as gateway:
        first = {"X-Forwarded-For": "203.0.113.1"}
        statuses = [(await gateway.ask("GET", "/api/orders/x", headers=first))[0] for _ in range(20)]
        assert statuses[:10] == [200] * 10
        assert 429 in statuses[10:]
        async with gateway.client.get(gateway.url + "/api/orders/x", headers=first) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) >= 1
            assert (await content(answer))["type"] == "/problems/too-many-requests"
        second = {"X-Forwarded-For": "203.0.113.2"}
        assert (await gateway.ask("GET", "/api/orders/x", headers=second))[0] == 200


async def test_a_payment_provider_is_never_told_to_slow_down(serve_gateway: Serve) -> None:
    async with serve_gateway(rate_per_second=1, rate_burst=2, rate_exempt="", trusted_proxies="127.0.0.1") as gateway:
        provider = {"X-Forwarded-For": "203.0.113.9"}
        told = [(await gateway.ask("POST", "/api/orders/webhooks/stripe", headers=provider))[0] for _ in range(10)]
        assert told == [200] * 10
        assert (await gateway.ask("POST", "/api/orders/x", headers=provider))[0] == 429


async def test_a_service_that_is_down(serve_gateway: Serve) -> None:
    async with serve_gateway(orders_url="http://127.0.0.1:1") as gateway:
        async with gateway.client.get(gateway.url + "/api/orders/x") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            assert answer.content_type == "application/problem+json"
        assert (await gateway.ask("GET", "/api/ticketing/x"))[0] == 200


async def test_a_service_that_is_slow(serve_gateway: Serve) -> None:
    async with serve_gateway(answer_seconds=0.3) as gateway:
        status, problem = await gateway.ask("POST", "/api/orders/slow", data=b"x")
        assert (status, problem["type"]) == (504, "/problems/service-slow")


async def test_a_client_that_is_slow(serve_gateway: Serve) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        await asyncio.sleep(2)

    async with serve_gateway(body_window_seconds=0.3, body_bytes_per_second=1_000_000) as gateway:
        assert (await gateway.ask("POST", "/api/orders/x", data=stalling()))[0] == 408


async def test_a_service_that_breaks_off(serve_gateway: Serve) -> None:
    seen = 0

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        request = await reader.readuntil(b"\r\n\r\n")
        seen += 1
        if b"/half" in request:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
            await writer.drain()
        elif b"/long" in request:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nonly this")
            await writer.drain()
        elif b"/junk" in request:
            writer.write(b"what?\r\n\r\n")
            await writer.drain()

    async with raw_server(broken) as url, serve_gateway(orders_url=url) as gateway:
        for path in ("/half", "/junk", "/none"):
            status, problem = await gateway.ask("POST", f"/api/orders{path}")
            assert (status, problem["type"]) == (502, "/problems/bad-answer"), path
        with pytest.raises(aiohttp.ClientPayloadError):
            await gateway.ask("GET", "/api/orders/long")
        seen = 0
        assert (await gateway.ask("POST", "/api/orders/none"))[0] == 502
        assert seen == 1, "an unsafe request is never repeated"


async def test_a_dropped_keep_alive_connection_is_tried_once_more(serve_gateway: Serve) -> None:
    connections = 0

    async def one_answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers as if it kept the connection, takes the next request and closes."""
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")

    async with raw_server(one_answer_each) as url, serve_gateway(orders_url=url) as gateway:
        for _ in range(5):
            assert await gateway.ask("GET", "/api/orders/x") == (200, "ok")
    assert connections == 5


async def test_requests_at_the_same_time_do_not_mix(gateway: Gateway) -> None:
    async def one(number: int) -> None:
        _, told = await gateway.ask("POST", f"/api/orders/{number}", data=b"x" * number)
        assert (told["path"], told["size"]) == (f"/{number}", number)

    await asyncio.gather(*(one(number) for number in range(1, 200)))


async def test_slow_bodies_take_no_connection_of_a_service(serve_gateway: Serve) -> None:
    """Sixty clients that send a byte now and then, and a service that has five connections."""
    async with serve_gateway(upstream_connections=5, client_unfinished=0) as gateway:
        port = int(gateway.url.rpartition(":")[2])
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        for _, writer in slow:
            writer.write(b"POST /api/orders/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        for _ in range(5):
            assert (await gateway.ask("POST", "/api/orders/x", data=b"x"))[0] == 200
        for reader, writer in slow:
            writer.write(b"1\r\nb\r\n0\r\n\r\n")
            assert (await asyncio.wait_for(reader.readline(), 30)).split()[1] == b"200"
            writer.close()


async def test_what_found_no_connection_is_sent_when_there_is_one(
    serve_gateway: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that is replaced: nothing listens for a moment, and no request is lost or doubled."""
    seen: list[bytes] = []
    monkeypatch.setattr(forwarding, "CONNECT_AGAIN_SECONDS", (0.05,) * 400)
    tries = metrics.UPSTREAM_ERRORS.labels("orders", "connect again")._value

    def tried_since(before: float) -> bool:
        return tries.get() > before

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunked = b"chunked" in await reader.readuntil(b"\r\n\r\n")
        body = b"" if chunked else await reader.readexactly(4)
        while chunked and not body.endswith(b"end\r\n0\r\n\r\n"):
            body += await reader.read(1_000_000)
        seen.append(body)
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    async def long() -> AsyncIterator[bytes]:
        yield MEGABYTE * 3
        yield b"end"

    async with raw_server(answer) as url:
        pass
    async with serve_gateway(orders_url=url) as gateway:
        for data in (b"body", long()):
            asking = asyncio.create_task(gateway.ask("POST", "/api/orders/x", data=data))
            await eventually(partial(tried_since, tries.get()))
            server = await asyncio.start_server(answer, "127.0.0.1", int(url.rpartition(":")[2]))
            assert await asking == (201, "ok")
            server.close()
    assert [len(body) > len(MEGABYTE) * 3 for body in seen] == [False, True]


async def test_links_are_in_no_log_while_a_service_is_away(serve_gateway: Serve) -> None:
    token = f"eyJ{'hbGciOiJIUzI1NiJ9'}.{'c2VjcmV0' * 5}.{'c2lnbmVk' * 5}"
    async with serve_gateway(ticketing_url="http://127.0.0.1:1") as gateway:
        lines = io.StringIO()
        logging.getLogger().handlers[0].setStream(lines)  # type: ignore[attr-defined]
        for path in (f"/documents/{token}", f"/x?key={token}"):
            assert (await gateway.ask("GET", f"/api/ticketing{path}"))[0] == 503
    assert "service failed" in lines.getvalue()
    assert token[:30] not in lines.getvalue()
