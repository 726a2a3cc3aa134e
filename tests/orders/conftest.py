from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from uuid import uuid4

import aiohttp
import pytest

from services.orders.main import create
from services.orders.settings import Settings
from tests.harness import Kafka, Postgres, TokenMint, serve
from tests.orders.fake_provider import FakeProvider
from tests.orders.stage import Stage, own_group
from tests.orders.ticketing import running_ticketing


@pytest.fixture(scope="package")
async def theatre(postgres: Postgres, kafka: Kafka, tokens: TokenMint) -> AsyncIterator[Stage]:
    """One orders service for all tests of the package."""
    urls = await postgres.create_database("orders")
    cards = FakeProvider()
    async with AsyncExitStack() as stack:
        ticketing = await stack.enter_async_context(running_ticketing(kafka.bootstrap_servers))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        settings = Settings(
            footlights_env="test",
            database_url=urls.owner,
            database_api_url=urls.api,
            database_worker_url=urls.worker,
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            auth_jwks=tokens.jwks,
            quote_jwks=json.dumps(ticketing.signer.jwks()),
            public_url="http://shop.test",
            payment_poll_seconds=0.5,
            log_level="WARNING",
            log_format="console",
        )
        app = create(settings, {"sandbox": cards})
        with own_group():
            url = await stack.enter_async_context(serve(app))
        yield Stage(url, http, tokens, ticketing, cards, app.state.db, settings)


@pytest.fixture
async def stage(theatre: Stage) -> Stage:
    """The service with a new organisation, and a card provider that behaves."""
    theatre.speak_for_itself()
    theatre.cards.reset()
    fresh = replace(theatre, organisation=uuid4())
    await fresh.register_organisation()
    return fresh
