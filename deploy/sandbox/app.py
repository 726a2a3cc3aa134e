"""The sandbox as an ASGI application: `python -m uvicorn deploy.sandbox.app:app --port 8010`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from deploy.sandbox import api, pages
from deploy.sandbox.api import Desk
from deploy.sandbox.cards import CARDS
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
    app.include_router(api.router)
    app.include_router(pages.router)
    app.mount("/assets", StaticFiles(directory=pages.HERE / "assets"))

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return Response(api.error_body(error), error.status, media_type="application/json")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Response(
            api.error_body(Refused("invalid", f"{where}: {first['msg']}")), 422, media_type="application/json"
        )

    @app.middleware("http")
    async def harden(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        if request.url.path != "/docs" and not request.url.path.startswith("/assets"):
            for name, value in SECURITY_HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    @app.get("/healthz", include_in_schema=False)
    async def healthz(request: Request) -> dict[str, bool]:
        return {"ok": request.app.state.desk.store.healthy()}

    @app.get("/", include_in_schema=False)
    async def home() -> HTMLResponse:
        body = pages.templates.get_template("home.html").render(t=ENGLISH, language="en", cards=CARDS)
        return HTMLResponse(body)

    return app


app = create_app()
