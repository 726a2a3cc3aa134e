"""Orders with the real sandbox card provider: its page, its webhooks, late, doubled and lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from deploy.sandbox.app import create_app as create_sandbox
from services.orders.main import create
from services.orders.payments.providers import build_providers
from services.orders.settings import Settings
from tests.harness import Kafka, Postgres, TokenMint, eventually, serve
from tests.orders.fake_provider import FakeProvider
from tests.orders.stage import Stage, own_group
from tests.orders.ticketing import running_ticketing

Asgi = Callable[..., Awaitable[None]]
KEY = {"Authorization": "Bearer development-only-sandbox-key"}


def behind_gateway(app: Asgi) -> Asgi:
    """The gateway's routing: /api/orders/<path>."""

    async def forward(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix("/api/orders")
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await app(scope, receive, send)

    return forward


@dataclass
class Shop(Stage):
    sandbox: str = ""

    async def pay_at(self, page: str, number: str = "4242424242424242") -> int:
        form = {"number": number, "expiry": "12/40", "cvc": "123", "name": "Taras"}
        async with self.http.post(page, data=form, allow_redirects=False) as answer:
            return answer.status

    async def behave(self, **how: Any) -> None:
        async with self.http.post(f"{self.sandbox}/v1/behaviour", json=how, headers=KEY) as answer:
            assert answer.status < 300, await answer.text()


@pytest.fixture(scope="module")
async def shop_server(postgres: Postgres, kafka: Kafka, tokens: TokenMint) -> AsyncIterator[Shop]:
    urls = await postgres.create_database("orders")
    async with AsyncExitStack() as stack:
        ticketing = await stack.enter_async_context(running_ticketing(kafka.bootstrap_servers))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        sandbox = await stack.enter_async_context(serve(create_sandbox()))
        settings = Settings(
            footlights_env="test",
            database_url=urls.owner,
            database_api_url=urls.api,
            database_worker_url=urls.worker,
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            auth_jwks=tokens.jwks,
            quote_jwks=json.dumps(ticketing.signer.jwks()),
            sandbox_url=sandbox,
            payment_poll_seconds=1,
            log_level="WARNING",
            log_format="console",
        )
        app = create(settings, build_providers(settings))
        with own_group():
            url = await stack.enter_async_context(serve(behind_gateway(app)))
        reached = settings.model_copy(update={"public_url": url})
        yield Shop(url, http, tokens, ticketing, FakeProvider(), app.state.db, reached, sandbox=sandbox)


@pytest.fixture
async def shop(shop_server: Shop) -> Shop:
    shop_server.speak_for_itself()
    fresh = replace(shop_server, organisation=uuid4())
    await fresh.register_organisation()
    await fresh.behave(duplicate=0, lose=0, reorder=0, delay_seconds=0)
    return fresh


async def test_paid_at_the_card_page(shop: Shop) -> None:
    hold = shop.ticketing.hold(shop.organisation)
    answer = await shop.checkout(hold)
    assert await shop.pay_at(answer.json["payment"]["redirect_url"]) == 303
    card = await shop.confirmed(hold.hold_id)
    assert card["payments"][0]["payment_system"] == "sandbox"
    refund = await shop.staff("POST", f"/orders/{card['id']}/refunds", json={})
    assert refund.status == 201
    await shop.order_becomes(card["id"], payment_status="money_refunded")
    assert await shop.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}


async def test_webhooks_that_are_doubled_reordered_and_lost(shop: Shop) -> None:
    await shop.behave(duplicate=0.5, lose=0.5, reorder=0.5, delay_seconds=0.2, seed=7)
    holds = [shop.ticketing.hold(shop.organisation) for _ in range(5)]
    for hold in holds:
        answer = await shop.checkout(hold)
        await shop.pay_at(answer.json["payment"]["redirect_url"])
    for hold in holds:
        await shop.confirmed(hold.hold_id)
        types = shop.ticketing.types(hold.hold_id)
        assert types.count("order.paid") == types.count("payment.received") == 1
    await shop.ledger_is_zero()


async def test_two_pages_paid(shop: Shop) -> None:
    hold = shop.ticketing.hold(shop.organisation)
    answer = (await shop.checkout(hold)).json
    key = {"Order-Key": answer["order_key"]}
    second = (await shop.call("POST", f"/orders/{hold.hold_id}/payments", headers=key)).json
    await shop.behave(delay_seconds=0.5)
    for page in (answer["payment"]["redirect_url"], second["redirect_url"]):
        assert await shop.pay_at(page) == 303
    await shop.confirmed(hold.hold_id)
    await shop.order_becomes(hold.hold_id, overpaid=False, refunded={"minor": 25_000, "currency": "UAH"})


async def test_a_cancelled_order_closes_its_page(shop: Shop) -> None:
    hold = shop.ticketing.hold(shop.organisation)
    page = (await shop.checkout(hold)).json["payment"]["redirect_url"]
    await shop.staff("POST", f"/orders/{hold.hold_id}/cancel")
    await eventually(lambda: _closed(shop, str(hold.hold_id)))
    assert await shop.pay_at(page) != 303


async def _closed(shop: Shop, order: str) -> bool:
    return bool((await shop.card(order))["payments"][0]["stage"] == "cancelled")
