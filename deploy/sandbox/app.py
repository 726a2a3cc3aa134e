"""The sandbox as an ASGI application: `python -m uvicorn deploy.sandbox.app:app --port 8010`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from deploy.sandbox import api, pages
from deploy.sandbox.cards import CARDS
from deploy.sandbox.desk import Desk, error_body
from deploy.sandbox.payments import Refused
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.store import Store
from deploy.sandbox.texts import ENGLISH
from deploy.sandbox.webhooks import Courier, over_http

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def create_app(settings: SandboxSettings | None = None) -> FastAPI:
    settings = settings or SandboxSettings()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = Store(settings.home / "sandbox.sqlite" if settings.home else None)
        timeout = aiohttp.ClientTimeout(total=settings.webhook_timeout)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            courier = Courier(store, settings, over_http(session))
            app.state.desk = Desk(settings, store, courier)
            running = asyncio.create_task(courier.run())
            yield
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        store.close()

    app = FastAPI(title="Footlights sandbox card provider", lifespan=lifespan, docs_url="/docs", redoc_url=None)
    for router in (api.router, pages.router, about):
        app.include_router(router)
    app.mount("/assets", StaticFiles(directory=pages.HERE / "assets"))
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.middleware("http")(_harden)
    return app


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    return Response(error_body(error), error.status, media_type="application/json")


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return await _refused(request, Refused("invalid", f"{where}: {first['msg']}", 422))


async def _harden(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    if request.url.path != "/docs" and not request.url.path.startswith("/assets"):
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
    return response


about = APIRouter(include_in_schema=False)


@about.get("/healthz")
async def healthz(request: Request) -> dict[str, bool]:
    return {"ok": request.app.state.desk.store.healthy()}


@about.get("/")
async def home() -> HTMLResponse:
    return HTMLResponse(pages.templates.get_template("home.html").render(t=ENGLISH, language="en", cards=CARDS))


app = create_app()
