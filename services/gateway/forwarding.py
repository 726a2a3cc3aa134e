"""Passes a request to the service that answers it, and the answer back, as streams.

What is repeated: any request that found no connection, for nothing of it was sent; and a safe one (GET, HEAD) whose
kept-alive connection turned out to be closed. Of any other request nobody knows whether it was carried out, and its
client repeats it with the same id or idempotency key.
"""

from __future__ import annotations

import asyncio
import time

import aiohttp
from prometheus_client import Counter
from starlette.types import Receive, Send
from yarl import URL

from chassis.logging import get_logger
from chassis.problems import Problem
from services.gateway import metrics
from services.gateway.bodies import GATHERED, Body, ClientGone
from services.gateway.errors import BadAnswer, ServiceDown, ServiceSlow
from services.gateway.incoming import HOP_BY_HOP, Incoming
from services.gateway.settings import Settings

log = get_logger(__name__)

SAFE = frozenset({"GET", "HEAD"})
CONNECT_AGAIN_SECONDS = (0.1, 0.4)
"""Pauses before a connection that failed is tried again."""
AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
DROPPED = HOP_BY_HOP | {b"server", b"date", b"x-request-id", b"set-cookie", b"location"}
"""Headers of a service that do not reach the client: services set no cookies, and the gateway sets the others."""


class Upstream:
    """One service: where it is, and its metrics."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.base = url.rstrip("/")
        self._root = URL(self.base)
        self.prefix = f"/api/{name}"
        self.seconds = metrics.FORWARD_SECONDS.labels(name)
        self.in_flight = metrics.IN_FLIGHT.labels(name)
        self._answered: dict[int, Counter] = {}

    def answered(self, status: int) -> Counter:
        counter = self._answered.get(status)
        if counter is None:
            counter = self._answered[status] = metrics.FORWARDED.labels(self.name, status)
        return counter

    def url(self, path: str, query: str = "") -> URL:
        """The address of an encoded path here. Raises `ValueError` if it led to another host or port."""
        root = self._root
        url = URL.build(
            scheme=root.scheme,
            host=root.raw_host or "",
            port=root.port,
            path=root.raw_path.rstrip("/") + path,
            query_string=query,
            encoded=True,
        )
        if (url.raw_host, url.port, url.raw_user) != (root.raw_host, root.port, None):
            raise ValueError(f"{path!r} leads away from {self.name}")
        return url

    def location(self, value: str) -> str:
        """A redirect of a service to itself, as its client must see it."""
        if value.startswith(self.base + "/"):
            return self.prefix + value[len(self.base) :]
        return value


class Forwarder:
    """One pool of connections for all services."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.upstreams = {name: Upstream(name, url) for name, url in settings.services.items()}
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        settings = self._settings
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                limit_per_host=settings.upstream_connections,
                keepalive_timeout=settings.upstream_keep_alive_seconds,
            ),
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=settings.connect_seconds,
                sock_connect=settings.connect_seconds,
                sock_read=settings.answer_seconds,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=AUTOMATIC,
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    @property
    def client(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("the gateway is not started")
        return self._client

    async def forward(
        self,
        upstream: Upstream,
        url: URL,
        incoming: Incoming,
        headers: list[tuple[str, str]],
        receive: Receive,
        send: Send,
    ) -> None:
        """Answers by what the service says. Raises a problem while nothing has been sent yet."""
        body = Body(
            receive,
            limit=self._settings.max_body_bytes,
            length=incoming.length,
        )
        started = time.perf_counter()
        upstream.in_flight.inc()
        try:
            if incoming.has_body:
                await body.begin()
            answer = await self._ask(upstream, url, incoming, headers, body)
            try:
                upstream.answered(answer.status).inc()
                await _pass_back(upstream, answer, receive, send)
            finally:
                answer.release()
        except ClientGone:
            metrics.UPSTREAM_ERRORS.labels(upstream.name, "client gone").inc()
        finally:
            upstream.in_flight.dec()
            upstream.seconds.observe(time.perf_counter() - started)

    async def _ask(
        self,
        upstream: Upstream,
        url: URL,
        incoming: Incoming,
        headers: list[tuple[str, str]],
        body: Body,
    ) -> aiohttp.ClientResponse:
        waits = iter(CONNECT_AGAIN_SECONDS)
        repeatable = incoming.method in SAFE and not incoming.has_body
        while True:
            data = body.data() if incoming.has_body else None
            try:
                return await self.client.request(
                    incoming.method, url, headers=headers, data=data, allow_redirects=False
                )
            except aiohttp.ClientConnectorError as error:
                # Nothing was sent, so any request may be repeated: a service that is being replaced is back at once.
                wait = next(waits, None)
                if wait is None:
                    raise _failed(upstream, "down", error) from error
                metrics.UPSTREAM_ERRORS.labels(upstream.name, "connect again").inc()
                await asyncio.sleep(wait)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # A reset of a fresh connection is worth one more safe attempt too.
                if not repeatable:
                    raise body.failure or _failed(upstream, "broken", error) from error
                repeatable = False
            except TimeoutError as error:
                connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
                raise _failed(upstream, "down" if connecting else "slow", error) from error
            except (aiohttp.ClientError, ValueError) as error:
                raise body.failure or _failed(upstream, "broken", error) from error


async def _pass_back(upstream: Upstream, answer: aiohttp.ClientResponse, receive: Receive, send: Send) -> None:
    headers = [(lower, value) for name, value in answer.raw_headers if (lower := name.lower()) not in DROPPED]
    location = answer.headers.get("Location")
    if location is not None:
        headers.append((b"location", upstream.location(location).encode("latin-1", "ignore")))
    start = {"type": "http.response.start", "status": answer.status, "headers": headers}
    length = answer.content_length
    try:
        if (length is not None and length <= GATHERED) or answer.content.is_eof():
            content = await answer.read()
            await send(start)
            await send({"type": "http.response.body", "body": content})
            return
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _failed(upstream, "slow" if isinstance(error, TimeoutError) else "broken", error) from error
    await send(start)
    await _stream(upstream, answer, receive, send)


async def _stream(upstream: Upstream, answer: aiohttp.ClientResponse, receive: Receive, send: Send) -> None:
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        async for part in answer.content.iter_any():
            await send({"type": "http.response.body", "body": part, "more_body": True})
            if gone.done():
                answer.close()
                return
        await send({"type": "http.response.body", "body": b""})
    except (aiohttp.ClientError, TimeoutError) as error:
        # The status is sent already: leaving the body unfinished is the only way to say that it is not whole.
        answer.close()
        _failed(upstream, "broken off", error)
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _failed(upstream: Upstream, reason: str, error: BaseException) -> Problem:
    metrics.UPSTREAM_ERRORS.labels(upstream.name, reason).inc()
    log.warning("service failed", upstream=upstream.name, reason=reason, error=repr(error))
    if reason == "down":
        return ServiceDown(f"{upstream.name} cannot be reached. Try again in a moment.")
    if reason == "slow":
        return ServiceSlow(
            f"{upstream.name} took too long. Whether it did what you asked is not known: "
            "repeat the request with the same id or Idempotency-Key."
        )
    return BadAnswer(f"{upstream.name} broke off its answer.")
