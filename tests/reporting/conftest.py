"""The reporting service on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import aiohttp
import pytest

from chassis.db import Database
from contracts.accounts import Role
from deploy.platform.databases import DatabaseUrls
from services.reporting.main import create
from services.reporting.settings import Settings
from tests.harness import Kafka, Postgres, TokenMint, serve


def settings_for(urls: DatabaseUrls, kafka: Kafka | None, tokens: TokenMint) -> Settings:
    return Settings(
        footlights_env="test",
        database_url=urls.owner,
        database_api_url=urls.api,
        database_worker_url=urls.worker,
        kafka_bootstrap_servers=kafka.bootstrap_servers if kafka else "127.0.0.1:1",
        auth_jwks=tokens.jwks,
    )


@dataclass
class Service:
    """A running service and how to call it."""

    url: str
    tokens: TokenMint
    db: Database
    settings: Settings
    http: aiohttp.ClientSession

    async def get(self, path: str, organisation: UUID, *roles: Role, status: int = 200, **params: str):
        headers = self.tokens.headers(self.tokens.staff(organisation, *(roles or (Role.ORGANIZER,))))
        async with self.http.get(f"{self.url}{path}", params=params, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()


@pytest.fixture
async def db(postgres: Postgres, tokens: TokenMint) -> AsyncIterator[Database]:
    urls = await postgres.create_database("reporting")
    database = Database(settings_for(urls, None, tokens))
    yield database
    await database.close()
    await postgres.drop_database(urls)


@pytest.fixture(scope="module")
async def reporting(postgres: Postgres, kafka: Kafka, tokens: TokenMint) -> AsyncIterator[Service]:
    urls = await postgres.create_database("reporting")
    settings = settings_for(urls, kafka, tokens)
    app = create(settings)
    async with serve(app) as url, aiohttp.ClientSession() as http:
        yield Service(url, tokens, app.state.db, settings, http)
    await postgres.drop_database(urls)
