"""The CRM service on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from chassis.db import Database
from contracts.accounts import Role
from deploy.platform.databases import DatabaseUrls
from services.crm.main import create
from services.crm.settings import Settings
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
    http: aiohttp.ClientSession

    async def call(
        self,
        method: str,
        path: str,
        organisation: UUID,
        *roles: Role,
        status: int = 200,
        etag: str | None = None,
        json: Any = None,
        **params: Any,
    ) -> tuple[Any, str | None]:
        """The JSON of an answer and its ETag."""
        token = self.tokens.staff(organisation, *(roles or (Role.SALES_MANAGER,)), email="manager@example.com")
        headers = self.tokens.headers(token) | ({"If-Match": etag} if etag else {})
        async with self.http.request(method, f"{self.url}{path}", json=json, params=params, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(), answer.headers.get("ETag")

    async def get(self, path: str, organisation: UUID, *roles: Role, status: int = 200, **params: Any) -> Any:
        return (await self.call("GET", path, organisation, *roles, status=status, **params))[0]


@pytest.fixture
async def db(postgres: Postgres, tokens: TokenMint) -> AsyncIterator[Database]:
    urls = await postgres.create_database("crm")
    settings = settings_for(urls, None, tokens)
    database = Database(settings)
    database.owner_url = urls.owner  # type: ignore[attr-defined]
    yield database
    await database.close()
    await postgres.drop_database(urls)


@pytest.fixture(scope="module")
async def crm(postgres: Postgres, kafka: Kafka, tokens: TokenMint) -> AsyncIterator[Service]:
    urls = await postgres.create_database("crm")
    app = create(settings_for(urls, kafka, tokens))
    async with serve(app) as url, aiohttp.ClientSession() as http:
        yield Service(url, tokens, app.state.db, http)
    await postgres.drop_database(urls)
