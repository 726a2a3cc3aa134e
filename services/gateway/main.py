"""Composition root of the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from chassis.app import create_app
from chassis.clients import Clients
from chassis.edge import AUDIENCE, ISSUER
from chassis.networks import Networks
from chassis.tail import Tail
from services.gateway import access, api, mailed, pages, staff
from services.gateway.attempts import Attempts
from services.gateway.documents import Documents
from services.gateway.forwarding import Forwarder
from services.gateway.front import Front
from services.gateway.identities import Identities
from services.gateway.live import TOPICS, Shows
from services.gateway.places import Places
from services.gateway.rates import OwnRates, Rates, SharedRates
from services.gateway.retention import rules
from services.gateway.settings import Settings
from services.gateway.shared import Shared
from services.gateway.tokens import Tokens


def create(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    tokens = Tokens(settings)
    # Our own routes check the same tokens as the services do, by the keys at hand.
    settings = settings.model_copy(update={"auth_jwks": json.dumps(tokens.jwks())})
    shows = Shows(queue=settings.live_queue, history=settings.live_history)
    tail = Tail(settings, TOPICS, shows.handle, shows.wants)
    forwarder = Forwarder(settings)
    redis = settings.limits_redis_url.get_secret_value()
    shared = Shared(redis, settings.limits_redis_seconds) if redis else None
    places = Places(settings.live_listeners, settings.live_listeners_per_address, shared)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await forwarder.start()
        work = (tail.run(), _reset_after_gaps(tail, shows), _end_streams(app.state.clients, shows), places.renew())
        watching = [asyncio.create_task(one) for one in work]
        try:
            yield
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await forwarder.close()
            if shared is not None:
                await shared.close()

    app = create_app(
        settings,
        title="Gateway",
        routers=[api.router, mailed.router, access.router, staff.router, pages.router],
        retention=rules(settings),
        lifespan=lifespan,
    )
    # The merged document stands in the place of our own.
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", "") != "/openapi.json"]
    app.state.tokens = tokens
    app.state.identities = identities = Identities(app.state.db, tokens, settings)
    app.state.attempts = Attempts(app.state.db, settings)
    app.state.shows = shows
    app.state.places = places
    app.state.documents = Documents(app, settings, forwarder)
    app.state.checks |= {"live": _is_ready(tail), "signing": _signing(app, tokens)}
    app.state.ready["signing"] = app.state.checks["signing"]
    app.state.exempt = Networks(settings.exempt_networks)
    app.add_middleware(
        Front,
        settings=settings,
        identities=identities,
        forwarder=forwarder,
        exempt=app.state.exempt,
        rates=_rates(settings, shared),
    )
    return app


def _rates(settings: Settings, shared: Shared | None) -> Rates | None:
    rate, burst = settings.rate_per_second, settings.rate_burst
    if rate <= 0:
        return None
    return OwnRates(rate, burst) if shared is None else SharedRates(shared, rate, burst)


async def _end_streams(clients: Clients, shows: Shows) -> None:
    """A stop would wait for them, and their listeners find another gateway."""
    await clients.stopping.wait()
    shows.end()


async def _reset_after_gaps(tail: Tail, shows: Shows) -> None:
    """When the tail had to start again from now on, changes were missed."""
    while True:
        await tail.ready.wait()
        while tail.ready.is_set():  # noqa: ASYNC110  it stays cleared for at least a second
            await asyncio.sleep(0.2)
        shows.forget()


def _is_ready(tail: Tail) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return tail.ready.is_set()

    return check


def _signing(app: FastAPI, tokens: Tokens) -> Callable[[], Awaitable[bool]]:
    """Whether what we sign can be verified by the keys we publish."""

    async def check() -> bool:
        token = tokens.sign({}, network="readiness")
        claims = await app.state.auth_keys.verify(token, audience=AUDIENCE, issuer=ISSUER)
        return bool(claims)

    return check


app = create()
