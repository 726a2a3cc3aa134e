"""The orders service, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI

from chassis.app import create_app
from chassis.keys import KeySet
from services.orders.buying.routes import router as buying
from services.orders.catalogue.routes import router as catalogue
from services.orders.consumers import consumer
from services.orders.desk.entry_routes import router as entries
from services.orders.desk.routes import router as desk
from services.orders.desk.table_routes import router as tables
from services.orders.measures import measure_jobs
from services.orders.order import links
from services.orders.order.deadlines import deadline_jobs
from services.orders.order.searched import search_jobs
from services.orders.order.tally import tally_jobs
from services.orders.payments.jobs import payment_jobs
from services.orders.payments.provider import PaymentProvider
from services.orders.payments.providers import build_providers
from services.orders.payments.routes import router as payments
from services.orders.retention import rules
from services.orders.settings import Settings

ROUTERS = (tables, desk, entries, buying, payments, catalogue)
"""Fixed paths before those with an id in them."""


def create(settings: Settings | None = None, providers: Mapping[str, PaymentProvider] | None = None) -> FastAPI:
    """`providers` instead of those of the settings, for tests."""
    settings = settings or Settings()
    adapters = providers if providers is not None else build_providers(settings)
    links.configure(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for adapter in adapters.values():
            await adapter.aclose()

    app = create_app(
        settings,
        title="Orders",
        routers=ROUTERS,
        consumer=consumer,
        job_list=[
            *payment_jobs(adapters, settings),
            *deadline_jobs(adapters, settings),
            *measure_jobs(),
            *tally_jobs(),
            *search_jobs(),
        ],
        retention=rules(settings),
        lifespan=lifespan,
    )
    app.state.providers = adapters
    app.state.quote_keys = KeySet(url=settings.quote_jwks_url, inline=settings.quote_jwks, remember=False)
    return app


app = create()
