"""`alembic check` runs for every service, and a database that differs from the models is noticed."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import asyncpg

from deploy.checks import migrations
from deploy.platform.databases import DatabaseUrls
from tests.harness import Postgres


async def judged(service: str, urls: DatabaseUrls) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.checks.models_match", service]
    environment = {"DATABASE_URL": urls.owner, "PATH": ""}
    return await asyncio.to_thread(
        subprocess.run, command, cwd=migrations.ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_every_service_is_checked() -> None:
    assert migrations.services() == ["crm", "gateway", "notifications", "orders", "reporting", "ticketing"]


async def test_a_table_that_no_model_has_is_named(postgres: Postgres) -> None:
    urls = await postgres.create_database("reporting", migrate=False)

    assert (await judged("reporting", urls)).returncode == 0

    connection = await asyncpg.connect(urls.owner)
    await connection.execute("CREATE TABLE stranger (id bigint PRIMARY KEY)")
    await connection.close()
    done = await judged("reporting", urls)
    assert done.returncode == 1
    assert "stranger" in done.stdout
