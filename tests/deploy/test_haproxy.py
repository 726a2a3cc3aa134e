"""The committed HAProxy in front of a server: slow clients never reach it, and it learns who really asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.platform.processes import free_ports
from tests.authority import Authority
from tests.gateway.upstream import Echo
from tests.harness import ROOT, eventually, serve

CONFIGURATION = ROOT / "deploy" / "haproxy" / "haproxy.cfg"

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="the Debian package haproxy is missing")


class Proxy:
    def __init__(self, port: int, echo: Echo) -> None:
        self.port = port
        self.echo = echo

    async def ask(self, request: bytes, port: int = 0, tls: ssl.SSLContext | None = None) -> bytes:
        """What comes until the connection is closed."""
        name = "localhost" if tls else None
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port, ssl=tls, server_hostname=name)
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with running() as one:
        yield one


@asynccontextmanager
async def running(**more: str) -> AsyncIterator[Proxy]:
    (port,) = free_ports(1)
    echo = Echo()
    async with serve(echo) as url:
        env = {"BIND": f"127.0.0.1:{port}", "GATEWAY": url.removeprefix("http://"), "REQUEST_TIMEOUT": "1s", **more}
        process = await asyncio.create_subprocess_exec(
            *("haproxy", "-f", str(CONFIGURATION)),
            env={**os.environ, **env},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        started = Proxy(port, echo)

        async def answers() -> bool:
            with contextlib.suppress(OSError):
                return b" 200 " in await started.ask(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return False

        try:
            await eventually(answers)
            yield started
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def headers_in(answer: bytes) -> list[list[str]]:
    """The headers of the request as the gateway got it."""
    found: list[list[str]] = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])["headers"]
    return found


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
    headers = headers_in(answer)
    assert [value for name, value in headers if name in ("x-forwarded-for", "forwarded", "x-real-ip")] == ["127.0.0.1"]
    assert "forged-by-me" not in str(headers)
    for path in (b"/metrics", b"/readyz", b"/statusz"):
        request = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert (await proxy.ask(request)).startswith(b"HTTP/1.1 404")


async def test_it_ends_tls_and_tells_the_gateway_so(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    authority = Authority(tmp_path)
    both = authority.server("front", "localhost")
    chain = tmp_path / "chain-and-key.pem"
    chain.write_bytes(b"".join(file.read_bytes() for file in both))
    request = b"GET /x HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\n"
    async with running(BIND_TLS=f"127.0.0.1:{port}", CERTIFICATE=str(chain)) as proxy:
        trusting = ssl.create_default_context(cafile=authority.file)
        assert ["x-forwarded-proto", "https"] in headers_in(await proxy.ask(request, port, trusting))
        assert ["x-forwarded-proto", "https"] not in headers_in(await proxy.ask(request))
        with pytest.raises(ssl.SSLCertVerificationError):
            await proxy.ask(request, port, ssl.create_default_context())
        old = ssl.create_default_context(cafile=authority.file)
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            await proxy.ask(request, port, old)
