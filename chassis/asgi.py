"""What every request passes before the routes of a service, in bare ASGI."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from random import getrandbits
from typing import Any

from fastapi import FastAPI
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import context, metrics, problems, tracing
from chassis.intake import Intake

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Edge:
    """Binds the request id and trace of each request for what is logged of it, measures it, and answers what nobody
    handled."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id") or f"{getrandbits(128):032x}".encode()
        request_id = given.decode("latin-1")
        traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        token = context.request_id.set(request_id)
        status, started, took = 0, time.perf_counter(), 0.0

        async def answer(message: Message) -> None:
            nonlocal status, took
            if message["type"] == "http.response.start":
                # A stream that somebody follows for an hour, or an export that is long, is no slow answer.
                status, took = message["status"], time.perf_counter() - started
                message["headers"] = [*message["headers"], (b"x-request-id", given)]
            await send(message)

        try:
            with tracing.span(scope["method"], traceparent, SpanKind.SERVER):
                try:
                    await self._app(scope, Intake(scope, receive), answer)
                except Exception as error:
                    if status:
                        raise
                    await problems.of(Request(scope), error)(scope, receive, answer)
        finally:
            context.request_id.reset(token)
            route = getattr(scope.get("route"), "path", "none")
            requests, seconds = _measures(scope["method"], route, status)
            requests.inc()
            seconds.observe(took or time.perf_counter() - started)


@lru_cache(maxsize=4096)
def _measures(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """A client may invent methods; metrics must not grow with them."""
    method = method if method in METHODS else "other"
    return metrics.HTTP_REQUESTS.labels(method, route, str(status)), metrics.HTTP_SECONDS.labels(method, route)


class Service(FastAPI):
    """FastAPI, with hot routes that are answered before it looks at a request: its look costs as much as they do.

    The parameters in the path of a hot route are text.
    """

    def __init__(self, hot_routes: Sequence[Route], **options: Any) -> None:
        super().__init__(**options)
        self._hot = [(route, Edge(route.app)) for route in hot_routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for route, answer in self._hot:
                found = route.path_regex.match(scope["path"])
                if found is not None and scope["method"] in (route.methods or ()):
                    scope.update(path_params=found.groupdict(), app=self, route=route)
                    await answer(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)
