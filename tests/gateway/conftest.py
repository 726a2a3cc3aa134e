"""A gateway on a real database and Kafka, with a service behind it that tells what it was sent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from chassis.letters import token_of
from contracts.accounts import Role
from services.gateway import accounts
from services.gateway.errors import NoSuchOrganisation
from services.gateway.main import create
from services.gateway.models import Account, Letter, Organisation
from services.gateway.settings import Settings
from tests.gateway.upstream import Echo
from tests.harness import Kafka, Postgres, eventually, serve

PASSWORD = "correct horse battery"


class Gateway:
    """A gateway under test."""

    def __init__(self, app: FastAPI, url: str, client: aiohttp.ClientSession) -> None:
        self.app = app
        self.url = url
        self.client = client

    def browser(self) -> Browser:
        return Browser(self)

    async def account(self, email: str, *, roles: dict[str, list[Role]] | None = None, **more: Any) -> Account:
        """An account, with its roles by the slug of an organisation that is made when it is missing."""
        memberships = {(await self.organisation(slug)).id: given for slug, given in (roles or {}).items()}
        async with self.app.state.db.as_worker() as session:
            return await accounts.create_account(
                session,
                email=email,
                name="Olena",
                password=PASSWORD,
                memberships=memberships,
                **({"verified": True} | more),
            )

    async def organisation(self, slug: str) -> Organisation:
        async with self.app.state.db.as_worker() as session:
            with contextlib.suppress(NoSuchOrganisation):
                return await accounts.find_organisation(session, slug)
            return await accounts.create_organisation(
                session, slug=slug, name=slug.title(), staff_email=f"desk@{slug}.example"
            )

    async def signed_in(self, email: str, *, roles: dict[str, list[Role]] | None = None) -> Browser:
        await self.account(email, roles=roles)
        browser = self.browser()
        assert (await browser.sign_in(email))[0] == 200
        return browser

    async def letter_to(self, email: str) -> str:
        """The token in the newest letter to an address, as notifications would make it."""
        async with self.app.state.db.as_worker() as session:
            newest = select(Letter).where(Letter.email == email).order_by(Letter.id.desc()).limit(1)
            letter = (await session.scalars(newest)).one()
        return token_of(self.app.state.settings, letter.id, letter.expires_at)

    async def opened(self, email: str, **reader: Any) -> tuple[Browser, Any]:
        """Somebody who opened an account by a letter, and what they were answered."""
        browser = self.browser()
        assert (await browser.ask("POST", "/auth/letters", json={"email": email}))[0] == 202
        token = await self.letter_to(email)
        status, body = await browser.ask("POST", "/auth/letters/use", json={"name": "Olena", "token": token} | reader)
        assert status == 200, body
        browser.csrf = body["csrf_token"]
        return browser, body

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON (or text) of an anonymous request."""
        async with self.client.request(method, self.url + path, allow_redirects=False, **options) as answer:
            return answer.status, await content(answer)


class Browser:
    """Keeps the cookie and the CSRF token of one person."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.cookie: str | None = None
        self.device: str | None = None
        self.csrf: str | None = None

    async def sign_in(self, email: str, password: str = PASSWORD) -> tuple[int, Any]:
        status, body = await self.ask("POST", "/auth/sign-in", json={"email": email, "password": password})
        if status == 200:
            self.csrf = body["csrf_token"]
        return status, body

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any):
        kept = [cookie for cookie in (self.cookie, self.device) if cookie]
        sent = {"Cookie": "; ".join(kept)} if kept else {}
        if self.csrf and method not in ("GET", "HEAD"):
            sent["X-CSRF-Token"] = self.csrf
        sent |= headers or {}
        url = self.gateway.url + path
        async with self.gateway.client.request(method, url, headers=sent, **options) as answer:
            for name, morsel in answer.cookies.items():
                if "device" in name:
                    self.device = f"{name}={morsel.value}"
                else:
                    self.cookie = f"{name}={morsel.value}" if morsel.value else None
            return answer.status, await content(answer)


def claims_told(told: dict[str, Any]) -> dict[str, Any]:
    """What the service behind the gateway was told of the caller, in a request that it echoed."""
    bearer = dict(told["headers"])["authorization"].removeprefix("Bearer ")
    claims: dict[str, Any] = jwt.decode(bearer, options={"verify_signature": False})
    return claims


async def content(answer: aiohttp.ClientResponse) -> Any:
    text = await answer.text()
    return json.loads(text) if "json" in answer.content_type and text else text


@pytest.fixture(scope="session")
async def echo() -> AsyncIterator[Echo]:
    """A service that answers what it was sent."""
    upstream = Echo()
    async with serve(upstream) as url:
        upstream.url = url
        yield upstream


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), connector=connector, timeout=timeout, auto_decompress=False
    ) as client:
        yield client


Serve = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture(scope="session")
async def serve_gateway(postgres: Postgres, kafka: Kafka, echo: Echo, http: aiohttp.ClientSession) -> Serve:
    """Starts a gateway with its own database, or with `urls` of another one's, and with changed settings."""

    @contextlib.asynccontextmanager
    async def run(urls: Any = None, **changes: Any) -> AsyncIterator[Gateway]:
        urls = urls or await postgres.create_database("gateway")
        values: dict[str, Any] = {
            "footlights_env": "test",
            "database_api_url": urls.api,
            "database_worker_url": urls.worker,
            "kafka_bootstrap_servers": kafka.bootstrap_servers,
            "log_level": "WARNING",
            **{f"{name}_url": echo.url for name in Settings().services},
        }
        settings = Settings(**(values | changes))
        app = create(settings)
        app.state.urls = urls
        async with serve(app) as url:
            yield Gateway(app, url, http)

    return run


@pytest.fixture(scope="session")
async def gateway(serve_gateway: Serve) -> AsyncIterator[Gateway]:
    """The shared gateway; a test that needs other settings starts its own."""
    async with serve_gateway() as running:

        async def ready() -> bool:
            return (await running.ask("GET", "/statusz"))[0] == 200

        await eventually(ready)
        yield running
