"""Orders served for real, with ticketing and the card provider played by the test."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from chassis.db import Database
from contracts.accounts import AccountRegistered, OrganisationRegistered, Role
from services.orders.consumers import consumer
from services.orders.order import links
from services.orders.payments.provider import ProviderStatus
from services.orders.settings import Settings
from tests.harness import TokenMint, eventually
from tests.orders.fake_provider import SIGNATURE, FakeProvider
from tests.orders.ticketing import Hold, Ticketing


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:600]!r}"


@dataclass
class Stage:
    url: str
    http: aiohttp.ClientSession
    tokens: TokenMint
    ticketing: Ticketing
    cards: FakeProvider
    db: Database
    settings: Settings
    organisation: UUID = field(default_factory=uuid4)
    staff_token: str = ""

    async def call(self, method: str, path: str, **more: Any) -> Answer:
        async with self.http.request(method, f"{self.url}{path}", allow_redirects=False, **more) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    def as_staff(self, *roles: Role, organisation: UUID | None = None, **more: Any) -> dict[str, str]:
        token = self.tokens.staff(organisation or self.organisation, *(roles or (Role.ORGANIZER,)), **more)
        return self.tokens.headers(token)

    async def staff(self, method: str, path: str, *, version: int | None = None, **more: Any) -> Answer:
        headers = {**self.as_staff(), **more.pop("headers", {})}
        if version is not None:
            headers["If-Match"] = f'"v{version}"'
        return await self.call(method, path, headers=headers, **more)

    def speak_for_itself(self) -> None:
        """Links are one setting per process, and other tests start an orders service of their own."""
        links.configure(self.settings)

    async def register_organisation(self) -> None:
        data = OrganisationRegistered(
            organisation_id=self.organisation,
            slug="theatre",
            name="Театр",
            currency="UAH",
            locale="uk",
            time_zone="Europe/Kyiv",
            phone_region="UA",
            staff_email="desk@example.com",
        )
        await self.ticketing.publish(data, self.organisation)

    async def register_account(
        self, email: str, name: str, phone: str | None = None, account: UUID | None = None, *, shared: bool = True
    ) -> UUID:
        """A person's account, which shows its data to the organisation if they are `shared`."""
        account = account or uuid4()
        shown_to = (self.organisation,) if shared else ()
        data = AccountRegistered(
            account_id=account, email=email, name=name, phone=phone, locale="uk", shared_with=shown_to
        )
        await self.ticketing.publish(data, None)
        return account

    def checkout_body(self, hold: Hold, **more: Any) -> dict[str, Any]:
        customer = {"name": "Марія Заньковецька", "email": f"m{hold.hold_id.hex[-8:]}@example.com"}
        return {"quote": hold.quote, "customer": customer, "payment_method": "card", "locale": "uk", **more}

    async def checkout(self, hold: Hold, **more: Any) -> Answer:
        headers = more.pop("headers", None)
        body = self.checkout_body(hold, **more)
        return await self.call("POST", f"/orders/{hold.hold_id}/checkout", json=body, headers=headers)

    async def webhook(self, payment_id: str, event_id: str | None = None, signature: str = SIGNATURE) -> Answer:
        reference = self.cards.card_of(payment_id).reference
        body = {"id": event_id or f"evt_{uuid4().hex}", "reference": reference, "kind": "payment.changed"}
        headers = {"x-signature": signature}
        return await self.call("POST", "/webhooks/sandbox", data=json.dumps(body).encode(), headers=headers)

    def way_back(self, payment_id: str) -> str:
        """Where the card page sends the browser."""
        return self.cards.card_of(payment_id).asked.return_url.removeprefix("http://shop.test/api/orders")

    async def card(self, order_id: UUID | str) -> dict[str, Any]:
        """The order card as staff see it."""
        answer = await self.staff("GET", f"/orders/{order_id}")
        assert answer.status == 200, answer
        return answer.json  # type: ignore[no-any-return]

    async def order_becomes(self, order_id: UUID | str, **expected: Any) -> dict[str, Any]:
        async def check() -> dict[str, Any]:
            card = await self.card(order_id)
            assert {name: card[name] for name in expected} == expected
            return card

        return await eventually(check)

    async def buy(self, *, status: ProviderStatus = ProviderStatus.RECEIVED, **more: Any) -> dict[str, Any]:
        """A confirmed order, paid by card."""
        hold = self.ticketing.hold(self.organisation, **more)
        answer = await self.checkout(hold)
        assert answer.status == 201, answer
        payment = answer.json["payment"]["payment_id"]
        self.cards.pay(payment, status)
        assert (await self.webhook(payment)).status == 200
        return await self.confirmed(hold.hold_id)

    async def confirmed(self, order_id: UUID | str) -> dict[str, Any]:
        async def check() -> dict[str, Any]:
            card = await self.card(order_id)
            assert card["confirmed_at"], card
            assert card["payment_status"] == "money_received", card
            return card

        return await eventually(check)

    async def ledger_is_zero(self) -> dict[str, int]:
        answer = await self.staff("GET", "/ledger")
        assert answer.json["sum"] == 0
        return {row["account"]: row["balance"]["minor"] for row in answer.json["balances"]}


@contextlib.contextmanager
def own_group() -> Iterator[None]:
    """A consumer group of one's own: two services of one group would share the events, each with half of them."""
    consumer.group = f"orders-{uuid4().hex[:8]}"
    try:
        yield
    finally:
        consumer.group = "orders"
