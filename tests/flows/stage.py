"""The whole platform in one process: six services and the card provider on real sockets, PostgreSQL and Kafka."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import aiohttp
from fastapi import FastAPI
from uuid_utils.compat import uuid7

from contracts.accounts import Role
from deploy.platform.mailcatcher import MailCatcher
from deploy.platform.processes import free_ports
from deploy.sandbox.app import create_app as create_sandbox
from deploy.sandbox.settings import SandboxSettings
from services.crm.main import create as create_crm
from services.crm.settings import Settings as CrmSettings
from services.gateway import accounts, sessions
from services.gateway.main import create as create_gateway
from services.gateway.settings import Settings as GatewaySettings
from services.gateway.tokens import Tokens
from services.notifications.main import create as create_notifications
from services.notifications.settings import Settings as NotificationsSettings
from services.orders.main import create as create_orders
from services.orders.settings import Settings as OrdersSettings
from services.reporting.main import create as create_reporting
from services.reporting.settings import Settings as ReportingSettings
from services.ticketing.main import create as create_ticketing
from services.ticketing.settings import Settings as TicketingSettings
from tests.harness import Kafka, Postgres, eventually, serve
from tests.notifications.servers import SmsServer
from tests.ticketing.plans import plan

EVERY_ROLE = tuple(Role)


@dataclass
class Stage:
    """A running platform, requests to its gateway, and what it sends to mailboxes and telephones."""

    url: str
    http: aiohttp.ClientSession
    apps: dict[str, FastAPI]
    mail: MailCatcher
    sms: SmsServer

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> tuple[int, Any]:
        """Status, and JSON or bytes, of a request with an API key or of anybody."""
        sent = {"Content-Type": "application/json"} | (headers or {})
        if key:
            sent["Authorization"] = f"Bearer {key}"
        content = data if body is None else json.dumps(body).encode()
        async with self.http.request(
            method, self.url + path, data=content, headers=sent, allow_redirects=False
        ) as answer:
            raw = b"" if "event-stream" in answer.headers.get("Content-Type", "") else await answer.read()
            parsed = json.loads(raw) if "json" in answer.headers.get("Content-Type", "") and raw else raw
            return answer.status, parsed

    async def must(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, answer = await self.ask(method, path, body, **options)
        assert status < 300, (method, path, status, answer)
        return answer

    async def organisation(self, slug: str, **more: Any) -> UUID:
        async with self.apps["gateway"].state.db.as_worker() as session:
            made = await accounts.create_organisation(
                session, slug=slug, name=slug.title(), staff_email=f"desk@{slug}.example", locale="uk", **more
            )
            return made.id

    async def key(self, email: str, organisation: UUID | None = None, *roles: Role) -> str:
        """The API key of a new account: staff with these roles, or a buyer."""
        async with self.apps["gateway"].state.db.as_worker() as session:
            memberships = {organisation: roles} if organisation and roles else {}
            account = await accounts.create_account(
                session, email=email, name="Key", memberships=memberships, verified=True
            )
            _, secret = await sessions.create_key(
                session, account.id, name="test", organisation=organisation, roles=roles, expires_at=None
            )
            return secret

    async def sell(self, key: str) -> dict[str, str]:
        """One of everything in the organisation of `key`: its ids by the name of the path parameter."""
        hall = await self.must("POST", "/api/ticketing/halls", {"plan": plan()}, key=key)
        price = {"minor": 25_000, "currency": "UAH"}
        zones = [{"name": one["name"], "price": price, "categories": [one["name"]]} for one in hall["categories"]]
        show = await self.must(
            "POST",
            "/api/ticketing/shows",
            {
                "hall_id": hall["hall_id"],
                "name": "Лісова пісня",
                "starts_at": datetime(2097, 3, 8, 17, tzinfo=UTC).isoformat(),
                "currency": "UAH",
                "invoice_allowed": True,
                "price_zones": zones,
            },
            key=key,
        )
        await self.must("POST", f"/api/ticketing/shows/{show['show_id']}/start-sale", key=key)
        offer = {"kind": "course", "sku": "C-1", "name": "Курс", "price": price, "invoice_allowed": True}
        offered = await self.must("POST", "/api/orders/offers", offer, key=key)
        order, waiting = await self._order(show["show_id"], "1-1"), await self._order(show["show_id"], "1-2")
        await self.must("POST", f"/api/orders/orders/{order}/mark-paid", {}, key=key)
        customer, message = await self._known(key, order)
        hold, _ = await self._hold(show["show_id"], "1-3")
        return {
            "hall_id": hall["hall_id"],
            "show_id": show["show_id"],
            "offer_id": offered["offer_id"],
            "order_id": order,
            "waiting_order_id": waiting,
            "hold_id": hold,
            "customer_id": customer,
            "message_id": message,
        }

    async def _hold(self, show: str, seat: str) -> tuple[str, str]:
        hold_id = str(uuid7())
        body = {"hold_id": hold_id, "seats": [seat]}
        placed = await self.must("POST", f"/api/ticketing/shows/{show}/holds", body)
        return hold_id, placed["quote"]

    async def _order(self, show: str, seat: str) -> str:
        hold, quote = await self._hold(show, seat)
        body = {
            "quote": quote,
            "customer": {"name": "Олена", "email": "olena@example.com", "phone": "+380671234567"},
            "payment_method": "invoice",
            "locale": "uk",
        }
        await self.must("POST", f"/api/orders/orders/{hold}/checkout", body)
        return hold

    async def _known(self, key: str, order: str) -> tuple[str, str]:
        """Customer and message, when the other services have heard of the order."""

        async def heard() -> tuple[str, str] | None:
            _, customers = await self.ask("GET", "/api/crm/customers", key=key)
            _, messages = await self.ask("GET", f"/api/notifications/messages?order_id={order}", key=key)
            _, tickets = await self.ask("GET", f"/api/ticketing/orders/{order}/tickets", key=key)
            if not (customers["items"] and messages["items"] and tickets["items"]):
                return None
            return str(customers["items"][0]["customer_id"]), str(messages["items"][0]["message_id"])

        found: tuple[str, str] = await eventually(heard, timeout=40)
        return found


@contextlib.asynccontextmanager
async def stage(postgres: Postgres, kafka: Kafka, mail: MailCatcher, sms: SmsServer) -> AsyncIterator[Stage]:
    """Starts everything and waits until it is ready."""
    (port,) = free_ports(1)
    gateway_url = f"http://127.0.0.1:{port}"
    common: dict[str, Any] = {
        "footlights_env": "test",
        "kafka_bootstrap_servers": kafka.bootstrap_servers,
        "auth_jwks": json.dumps(Tokens(GatewaySettings()).jwks()),
        "public_url": gateway_url,
        "log_level": "ERROR",
        "database_pool_size": 4,
    }

    async def own(service: str) -> dict[str, Any]:
        urls = await postgres.create_database(service)
        return common | {"database_api_url": urls.api, "database_worker_url": urls.worker}

    async with contextlib.AsyncExitStack() as stack:
        apps: dict[str, FastAPI] = {}
        urls: dict[str, str] = {}

        async def run(name: str, app: FastAPI) -> None:
            apps[name] = app
            urls[name] = await stack.enter_async_context(serve(app))

        sandbox = await stack.enter_async_context(serve(create_sandbox(SandboxSettings())))
        await run("ticketing", create_ticketing(TicketingSettings(**await own("ticketing"))))
        quotes = f"{urls['ticketing']}/.well-known/jwks.json"
        orders = await own("orders") | {"quote_jwks_url": quotes, "sandbox_url": sandbox}
        await run("orders", create_orders(OrdersSettings(**orders)))
        await run("crm", create_crm(CrmSettings(**await own("crm"))))
        sending = await own("notifications") | {"smtp_url": mail.smtp_url, "sms_url": sms.url}
        await run("notifications", create_notifications(NotificationsSettings(**sending)))
        await run("reporting", create_reporting(ReportingSettings(**await own("reporting"))))
        behind = {f"{name}_url": url for name, url in urls.items()}
        apps["gateway"] = create_gateway(GatewaySettings(**(await own("gateway") | behind)))
        await stack.enter_async_context(serve(apps["gateway"], port=port))
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        http = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector)
        )
        for url in (*urls.values(), gateway_url):
            await eventually(partial(_ready, http, url), timeout=60)
        yield Stage(gateway_url, http, apps, mail, sms)


async def _ready(http: aiohttp.ClientSession, url: str) -> bool:
    async with http.get(f"{url}/statusz") as answer:
        assert answer.status == 200, await answer.text()
        return True
