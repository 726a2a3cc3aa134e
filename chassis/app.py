"""Builds a service: FastAPI with problems, logs, metrics and health; around it relay, consumer and jobs."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Route

from chassis import health, logging, problems, tracing
from chassis.asgi import Edge, Service
from chassis.clients import Clients
from chassis.consumer import Consumer
from chassis.db import Database
from chassis.edge import permissions
from chassis.intake import door_for
from chassis.jobs import Job, Turn, run_forever
from chassis.keys import KeySet
from chassis.openapi import document_problems
from chassis.relay import Relay
from chassis.retention import Rule, of_every_service, retention_job
from chassis.runner import ConsumerRunner
from chassis.settings import ServiceSettings

log = logging.get_logger(__name__)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

DOCUMENTATION = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}


@dataclass(frozen=True, slots=True)
class Background:
    """What a service does while it answers requests."""

    consumer: Consumer | None
    jobs: Sequence[Job]
    lifespan: Lifespan | None
    relay: bool

    @asynccontextmanager
    async def run(self, app: FastAPI) -> AsyncIterator[None]:
        settings, db = app.state.settings, app.state.db
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(db.close)
            if self.relay:
                app.state.relay = Relay(
                    db,
                    settings,
                    f"{settings.service}-relay",
                    event_bytes=settings.kafka_event_bytes,
                    lease_seconds=settings.leader_lease_seconds,
                )
            if self.lifespan is not None:
                await stack.enter_async_context(self.lifespan(app))
            turn = Turn(db, settings.leader_lease_seconds)
            work: list[Coroutine[Any, Any, None]] = [turn.run(), *(run_forever(job, db, turn) for job in self.jobs)]
            if self.relay:
                work.append(app.state.relay.run())
            if self.consumer is not None:
                runner = ConsumerRunner(self.consumer, db, settings)
                app.state.checks["consumer"] = _ready(runner)
                work.append(runner.run())
            await stack.enter_async_context(_running(work))
            yield


def create_app(
    settings: ServiceSettings,
    *,
    title: str,
    routers: Sequence[APIRouter] = (),
    hot_routes: Sequence[Route] = (),
    consumer: Consumer | None = None,
    job_list: Sequence[Job] = (),
    retention: Sequence[Rule] = (),
    lifespan: Lifespan | None = None,
    relay: bool = True,
) -> FastAPI:
    """A service ready to be served.

    `hot_routes` are raw Starlette routes, each with an attribute `permission`. `retention` is what the service forgets
    of its own tables. `lifespan` runs inside ours, with `app.state.db`, `.relay`, `.settings` and `.auth_keys` set, and
    before anything is consumed. Raises `TypeError` for a route without exactly one permission.
    """
    logging.configure(settings)
    tracing.configure(settings)
    job_list = [*job_list, retention_job([*of_every_service(settings), *retention])]
    run = Background(consumer, job_list, lifespan, relay).run
    app = Service(hot_routes, title=title, lifespan=run, docs_url=None, redoc_url=None, version="1")
    app.state.settings = settings
    app.state.db = Database(settings)
    app.state.clients = Clients.of(settings)
    app.state.auth_keys = KeySet(url=settings.auth_jwks_url, inline=settings.auth_jwks)
    app.state.checks = {"database": lambda: health.database_check(app.state.db), "keys": app.state.auth_keys.load}
    app.state.ready = {name: health.once(check) for name, check in app.state.checks.items()}
    problems.install(app)
    # Among the others too: for whoever walks all routes, and for the answer to another method.
    app.router.routes.extend(hot_routes)
    for router in (health.router, *routers):
        app.include_router(router)
    app.add_middleware(Edge)
    require_permissions(app)
    app.state.doors = {
        id(route.original_route): door_for(route.endpoint, permission, settings)
        for route, permission in permissions(app)
    }
    refuse_threads(app)
    document_problems(app)
    return app


def require_permissions(app: FastAPI) -> None:
    """Raises `TypeError` if a route does not say who may call it."""
    for route, permission in permissions(app):
        if permission is None and route.path not in DOCUMENTATION:
            raise TypeError(f"{route.path} declares no permission")


def refuse_threads(app: FastAPI) -> None:
    """Raises `TypeError` for a dependency that is a plain function: each request would wait for a thread to run it."""
    for route in iter_route_contexts(app.routes):
        stack = [route.dependant] if isinstance(route.original_route, APIRoute) else []
        while stack:
            dependant = stack.pop()
            stack.extend(dependant.dependencies)
            call: Any = dependant.call
            kinds = (call, getattr(call, "__call__", None))  # noqa: B004 - an object that is called, such as a permission
            if not any(inspect.iscoroutinefunction(kind) or inspect.isasyncgenfunction(kind) for kind in kinds):
                raise TypeError(f"{route.path} depends on {call!r}: make it async")


def _ready(runner: ConsumerRunner) -> health.Check:
    async def check() -> bool:
        return runner.ready

    return check


@asynccontextmanager
async def _running(background: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in background]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 8)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("background work ended", exc_info=task.exception())
