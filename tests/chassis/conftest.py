"""A probe database on the shared servers, and the settings that reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from chassis.db import Database
from deploy.platform.databases import DatabaseUrls
from tests.chassis import probe
from tests.harness import Kafka, Postgres


@pytest.fixture
async def urls(postgres: Postgres) -> AsyncIterator[DatabaseUrls]:
    made = await probe.create_database(postgres)
    yield made
    await postgres.drop_database(made)


@pytest.fixture
def settings(urls: DatabaseUrls, kafka: Kafka) -> probe.Settings:
    return probe.settings_for(urls, kafka)


@pytest.fixture
async def db(settings: probe.Settings) -> AsyncIterator[Database]:
    async with probe.database(settings) as database:
        yield database


@pytest.fixture
def group() -> str:
    """A consumer group of its own, so that a test sees only what it asks for. It shares the dead letters of crm."""
    return f"probe-{uuid4().hex[:8]}"
