"""Servers that run already, instead of embedded ones."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import asyncpg
import pytest

from deploy.platform import SERVICES, Existing, Platform, StartFailed
from deploy.platform.databases import adopt_database, create_service_database
from deploy.platform.mailcatcher import MailCatcher
from tests.harness import Kafka, Postgres


@pytest.mark.slow
async def test_a_platform_on_foreign_servers(own_folder: Path, own_postgres: Postgres, kafka: Kafka, mail: MailCatcher):
    connection = await asyncpg.connect(own_postgres.url())
    for service in SERVICES:
        await connection.execute(f"CREATE DATABASE mine_{service}")
    await connection.close()
    existing = Existing(
        databases={service: own_postgres.url(f"mine_{service}") for service in SERVICES},
        kafka=kafka.bootstrap_servers,
        smtp=mail.smtp_url,
    )
    async with Platform(own_folder / "home", services=["reporting"], existing=existing) as platform:
        assert {running.name for running in platform.home.children()} == {"sandbox", "reporting"}
        url = platform.urls["reporting"] + "/readyz"
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            assert answer.status == 200
        assert platform.environment("notifications")["SMTP_URL"] == mail.smtp_url
        assert "reporting_api:" in platform.databases["reporting"].api


async def test_an_owner_who_may_not_create_roles_learns_what_to_do(own_postgres: Postgres):
    urls = await create_service_database(own_postgres.url(), "orders")
    with pytest.raises(StartFailed) as failure:
        await adopt_database(urls.owner, "orders", "secret")
    assert "CREATE ROLE orders_api" in failure.value.remedy
    assert "DATABASE_API_URL_ORDERS" in failure.value.remedy


async def test_a_wrong_address_names_its_variable():
    with pytest.raises(StartFailed) as failure:
        await adopt_database("postgresql://nobody@127.0.0.1:1/none", "crm", "secret")
    assert "DATABASE_URL_CRM" in failure.value.why


async def test_given_roles_are_taken_as_they_are(monkeypatch):
    monkeypatch.setenv("DATABASE_API_URL_CRM", "postgresql://a@host/crm")
    monkeypatch.setenv("DATABASE_WORKER_URL_CRM", "postgresql://w@host/crm")
    urls = await adopt_database("postgresql://o@host/crm", "crm", "secret")
    assert (urls.api, urls.worker) == ("postgresql://a@host/crm", "postgresql://w@host/crm")
