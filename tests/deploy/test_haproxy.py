"""The committed HAProxy in front of a server: slow clients never reach it, and it learns who really asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest

from deploy.platform.processes import free_ports
from tests.gateway.upstream import Echo
from tests.harness import ROOT, eventually, serve

CONFIGURATION = ROOT / "deploy" / "haproxy" / "haproxy.cfg"

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="the Debian package haproxy is missing")


class Proxy:
    def __init__(self, port: int, echo: Echo) -> None:
        self.port = port
        self.echo = echo

    async def ask(self, request: bytes) -> bytes:
        """What comes until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    (port,) = free_ports(1)
    echo = Echo()
    async with serve(echo) as url:
        env = {"BIND": f"127.0.0.1:{port}", "GATEWAY": url.removeprefix("http://"), "REQUEST_TIMEOUT": "1s"}
        process = await asyncio.create_subprocess_exec(
            *("haproxy", "-f", str(CONFIGURATION)),
            env={**os.environ, **env},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        running = Proxy(port, echo)

        async def answers() -> bool:
            with contextlib.suppress(OSError):
                return b" 200 " in await running.ask(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return False

        try:
            await eventually(answers)
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def test_haproxy_accepts_the_configuration() -> None:
    subprocess.run(["haproxy", "-c", "-q", "-f", str(CONFIGURATION)], check=True)


async def test_slow_heads_and_bodies_never_reach_the_gateway(proxy: Proxy) -> None:
    before = proxy.echo.requests
    slow = [
        b"POST /x HTTP/1.1\r\nHost: x\r\nX-Half:",
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    ]
    for answer in await asyncio.gather(*(proxy.ask(one) for one in slow)):
        assert answer.startswith(b"HTTP/1.1 408")
    assert proxy.echo.requests == before
    whole = b"POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
    assert b'"size": 4' in await proxy.ask(whole)


async def test_nobody_says_who_they_are(proxy: Proxy) -> None:
    forged = (
        b"X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-Ip: 1.2.3.4\r\nX-Request-Id: forged-by-me\r\n"
    )
    answer = await proxy.ask(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + forged + b"\r\n")
    headers = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])["headers"]
    assert [value for name, value in headers if name in ("x-forwarded-for", "forwarded", "x-real-ip")] == ["127.0.0.1"]
    assert "forged-by-me" not in str(headers)
    for path in (b"/metrics", b"/readyz", b"/statusz"):
        request = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert (await proxy.ask(request)).startswith(b"HTTP/1.1 404")
