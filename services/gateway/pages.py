"""The gateway's own addresses: its keys, the merged document with its page, the front page and the live stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from functools import cache
from importlib.resources import files
from typing import Annotated
from uuid import UUID

import fastapi_offline
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from chassis.edge import public
from chassis.networks import network_of
from chassis.problems import NotFound, TooManyRequests, Unavailable, raises
from services.gateway.documents import Documents
from services.gateway.live import Shows
from services.gateway.places import Places
from services.gateway.settings import Settings

router = APIRouter(dependencies=[Depends(public())])

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FRONT_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Footlights</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="/docs/favicon.png">
<style>
body { font: 17px/1.5 system-ui, sans-serif; max-width: 38rem; margin: 4rem auto; padding: 0 1rem; }
code { background: #8882; padding: .1em .3em; border-radius: .2em; }
:root { color-scheme: light dark; }
</style></head><body>
<h1>Footlights</h1>
<p>The sales platform for organisations that sell seats, courses and goods. This is its gateway: every request of a
page or a program comes here.</p>
<ul>
<li><a href="/docs">All routes, to read and to try</a>, and <a href="/openapi.json">the same as OpenAPI</a></li>
<li>Services answer below <code>/api/ticketing</code>, <code>/api/orders</code>, <code>/api/crm</code>,
<code>/api/notifications</code> and <code>/api/reporting</code></li>
<li>Shows on sale: <a href="/api/ticketing/shows">/api/ticketing/shows</a></li>
<li>Seat changes of a show as they happen: <code>/live/shows/&lt;show id&gt;</code> (server-sent events)</li>
</ul>
</body></html>"""
DOCS_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Footlights: routes</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="/docs/favicon.png"><link rel="stylesheet" href="/docs/swagger-ui.css">
</head><body><div id="routes"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script>
</body></html>"""
START = """let csrf;
async function withToken(request) {
  if (!["GET", "HEAD"].includes((request.method || "GET").toUpperCase())) {
    csrf ??= fetch("/auth/me").then(a => a.ok ? a.json() : {}).then(me => me.csrf_token);
    const token = await csrf;
    if (token) request.headers["X-CSRF-Token"] = token; else csrf = undefined;
  }
  return request;
}
SwaggerUIBundle({url: "/openapi.json", dom_id: "#routes", deepLinking: true, docExpansion: "none",
  validatorUrl: null, requestInterceptor: withToken});
"""


@router.get("/", include_in_schema=False)
async def front_page() -> HTMLResponse:
    return HTMLResponse(FRONT_PAGE, headers={"Content-Security-Policy": PAGE_POLICY})


@router.get("/docs", include_in_schema=False)
async def docs_page() -> HTMLResponse:
    return HTMLResponse(DOCS_PAGE, headers={"Content-Security-Policy": PAGE_POLICY})


@router.get("/docs/start.js", include_in_schema=False)
async def docs_start() -> Response:
    return Response(START, media_type="text/javascript")


@router.get("/docs/{name}", include_in_schema=False)
async def docs_asset(name: str) -> Response:
    """Swagger UI, from the installed package: nothing is fetched from elsewhere."""
    media_type = ASSETS.get(name)
    if media_type is None:
        raise NotFound("The documentation has no such part.")
    return Response(_asset(name), media_type=media_type, headers={"Cache-Control": "public, max-age=86400"})


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    documents: Documents = request.app.state.documents
    return Response(await documents.merged(), media_type="application/json")


@router.get("/.well-known/jwks.json", tags=["keys"])
async def jwks(request: Request) -> JSONResponse:
    """The public keys by which services check the gateway's tokens."""
    return JSONResponse(request.app.state.tokens.jwks(), headers={"Cache-Control": "public, max-age=60"})


@router.get(
    "/live/shows/{show_id}",
    tags=["live"],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
@raises(TooManyRequests, Unavailable)
async def live(
    show_id: UUID, request: Request, last_event_id: Annotated[str | None, Header(max_length=100)] = None
) -> StreamingResponse:
    """Seat changes of a show as server-sent events: `{"seats": {"<guid>": "held" | "free" | "sold"}}`.

    Open the stream, then fetch the map. `reset` means: fetch the map again. `dropped`: too slow, connect again.
    `show`: the status of the show changed.
    """
    shows: Shows = request.app.state.shows
    settings: Settings = request.app.state.settings
    places: Places = request.app.state.places
    address = request.client.host if request.client else ""
    place = await places.take(None if address in request.app.state.exempt else network_of(address))
    parts = shows.stream(show_id, last_event_id, settings.live_heartbeat_seconds)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _Stream(parts, lambda: places.give_back(place), headers)


class _Stream(StreamingResponse):
    """Gives its place back however it ends, also before its first part."""

    def __init__(self, parts: AsyncGenerator[bytes, None], end: Callable[[], None], headers: dict[str, str]) -> None:
        super().__init__(parts, media_type="text/event-stream", headers=headers)
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()


@cache
def _asset(name: str) -> bytes:
    return files(fastapi_offline).joinpath("static", name).read_bytes()
