"""Ticketing on a database of its own: its rules without the edges, and the whole service over HTTP and Kafka."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from chassis.db import Database
from deploy.platform import topics
from deploy.platform.databases import DatabaseUrls
from services.ticketing.main import create
from services.ticketing.settings import Settings
from tests.harness import Given, Kafka, Postgres, TokenMint, eventually, kafka_cluster, serve
from tests.ticketing.theatre import Theatre


def settings_for(urls: DatabaseUrls, tokens: TokenMint, kafka: Kafka | None = None, **more: Any) -> Settings:
    return Settings(
        footlights_env="test",
        database_url=urls.owner,
        database_api_url=urls.api,
        database_worker_url=urls.worker,
        kafka_bootstrap_servers=kafka.bootstrap_servers if kafka else "127.0.0.1:1",
        auth_jwks=tokens.jwks,
        log_level="WARNING",
        log_format="console",
        **more,
    )


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A Kafka of its own: on the shared one a real ticketing would answer the orders of other tests."""
    if address := os.environ.get("TEST_KAFKA"):
        yield Kafka(Given(address))
        return
    with kafka_cluster(tmp_path_factory.mktemp("ticketing")) as cluster:
        await topics.apply(cluster.bootstrap_servers)
        yield cluster


@pytest.fixture(scope="session")
async def urls(postgres: Postgres) -> DatabaseUrls:
    """A database that tests share; each makes its own organisation, hall and show."""
    return await postgres.create_database("ticketing")


@pytest.fixture(scope="session")
def settings(urls: DatabaseUrls, tokens: TokenMint) -> Settings:
    return settings_for(urls, tokens)


@pytest.fixture(scope="session")
async def db(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings)
    yield database
    await database.close()


@pytest.fixture(scope="session")
async def service_url(
    postgres: Postgres, tokens: TokenMint, kafka: Kafka, http: aiohttp.ClientSession
) -> AsyncIterator[str]:
    """The whole service, with a database of its own."""
    urls = await postgres.create_database("ticketing")
    more = {"hold_seconds": 60, "hold_limit_seconds": 90, "address_max_seats": 4, "public_url": "http://gateway.test"}
    async with serve(create(settings_for(urls, tokens, kafka, **more))) as url:

        async def ready() -> bool:
            async with http.get(f"{url}/statusz") as answer:
                return answer.status == 200

        await eventually(ready, timeout=60)
        yield url


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    # Shorter than the server's, so that no request meets a connection that the server is just closing.
    connector = aiohttp.TCPConnector(keepalive_timeout=2, limit=300)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@pytest.fixture
def theatre(service_url: str, http: aiohttp.ClientSession, tokens: TokenMint, kafka: Kafka) -> Theatre:
    """An organisation of its own that uses the service as people do."""
    return Theatre(service_url, http, tokens, kafka.bootstrap_servers)
