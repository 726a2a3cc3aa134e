"""The two banks behind the adapters, each driven as a buyer would: one suite of tests for both.

`localstripe` is a separate process and proves the real SDK's wire protocol, but it is not Stripe. What it cannot prove
is listed in `LOCALSTRIPE_CANNOT`: those tests run against the sandbox alone, and what matters of them for Stripe is
shown against canned answers in `test_stripe_wire.py`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import aiohttp
import pytest

from contracts.money import Money
from deploy.platform.processes import free_ports
from services.orders.payments.provider import PaymentProvider, ProviderPayment, StartedPayment, StartPayment
from services.orders.payments.providers.sandbox import SandboxProvider
from services.orders.payments.providers.stripe import StripeProvider
from tests.harness import eventually
from tests.sandbox.sandbox_process import API_KEY, SECRET, SandboxProcess

STRIPE_KEY = "sk_test_12345"
STRIPE_SECRET = "whsec_test-of-the-stripe-adapter"

LOCALSTRIPE_CANNOT = {
    "idempotency": "it ignores Idempotency-Key: the same key makes a second intent, a second refund",
    "over-refund": "it refunds more than was received",
    "partial capture": "it tells no amount_received, so what was captured cannot be read back",
    "all events": "it sends payment_intent.succeeded and .payment_failed only: no holds, cancellations or refunds",
    "pending refunds": "its refunds are done at once and never fail",
    "expiring holds": "its holds never expire",
    "disputes": "it knows no disputes",
    "another card": "it keeps the intent on its failed charge; Stripe takes another card",
    "hosted page": "it has no Checkout Sessions: tests confirm the intent themselves, as Stripe.js would",
}


def asked(payment_id=None, amount: Money | None = None, webhook_url: str = "http://shop.test/hook", key: str = ""):
    payment_id = payment_id or uuid4()
    return StartPayment(
        payment_id=payment_id,
        order_id=uuid4(),
        order_number="F-1001",
        amount=amount or Money(minor=12500, currency="UAH"),
        description="Лісова пісня",
        return_url="http://shop.test/back",
        webhook_url=webhook_url,
        locale="uk",
        customer_email="olena@example.com",
        idempotency_key=key or f"start-{payment_id}",
    )


class Bank(ABC):
    """A provider, the same with `hold`, and the hands of a buyer with a card."""

    name: str
    cannot: ClassVar[dict[str, str]] = {}

    def __init__(self, provider: PaymentProvider, holding: PaymentProvider, http: aiohttp.ClientSession) -> None:
        self.provider = provider
        self.holding = holding
        self.http = http

    def needs(self, ability: str) -> None:
        if ability in self.cannot:
            pytest.skip(self.cannot[ability])

    async def paid(self, amount: Money | None = None) -> ProviderPayment:
        started = await self.provider.start(asked(amount=amount))
        await self.pay(started)
        return await self.provider.fetch(started.reference)

    async def held(self) -> ProviderPayment:
        started = await self.holding.start(asked())
        await self.pay(started)
        return await self.provider.fetch(started.reference)

    @abstractmethod
    async def pay(self, started: StartedPayment) -> None: ...
    @abstractmethod
    async def decline(self, started: StartedPayment) -> None: ...
    @abstractmethod
    async def ask_buyer(self, started: StartedPayment) -> None:
        """Pays with a card whose bank wants a confirmation."""

    @abstractmethod
    async def answer(self, started: StartedPayment, approve: bool) -> None: ...
    @abstractmethod
    async def refund_at_dashboard(self, reference: str, minor: int) -> None: ...
    @abstractmethod
    async def send_webhooks_to(self, url: str) -> None: ...
    @abstractmethod
    def sign(self, body: bytes, secret: str, at: float) -> dict[str, str]:
        """The headers of a webhook with this body, by the bank's published rules."""

    @abstractmethod
    def with_secrets(self, *secrets: str) -> PaymentProvider: ...
    @abstractmethod
    def at(self, url: str, timeout: float = 10) -> PaymentProvider:
        """The same adapter for a bank at another address."""


class SandboxBank(Bank):
    name = "sandbox"

    def __init__(self, process: SandboxProcess, http: aiohttp.ClientSession) -> None:
        self._url = process.url
        super().__init__(
            SandboxProvider(process.url, API_KEY, [SECRET]),
            SandboxProvider(process.url, API_KEY, [SECRET], hold=True),
            http,
        )

    async def pay(self, started, card="success") -> None:
        await self._post(started.redirect_url, card=card)

    async def decline(self, started) -> None:
        await self._post(started.redirect_url, card="no_money")

    async def ask_buyer(self, started) -> None:
        await self._post(started.redirect_url, card="confirm")

    async def answer(self, started, approve) -> None:
        await self._post(f"{started.redirect_url}/confirm", answer="approve" if approve else "refuse")

    async def refund_at_dashboard(self, reference, minor) -> None:
        await self._at_desk(f"/v1/payments/{reference}/refunds", minor=minor)

    async def fail_refund(self, reference: str, refund: str) -> None:
        await self._at_desk(f"/v1/payments/{reference}/refunds/{refund}/fail")

    async def dispute(self, reference: str) -> str:
        return str((await self._at_desk(f"/v1/payments/{reference}/disputes"))["id"])

    async def decide(self, reference: str, dispute: str, won: bool) -> None:
        await self._at_desk(f"/v1/payments/{reference}/disputes/{dispute}/decide", won=won)

    async def _at_desk(self, path: str, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {API_KEY}"}
        async with self.http.post(self._url + path, json=body, headers=headers) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    async def send_webhooks_to(self, url) -> None:
        pass  # each payment names its own address

    def sign(self, body, secret, at):
        from deploy.sandbox.signing import signature_of

        signature = signature_of(secret, "evt_1", int(at), body)
        return {"Webhook-Id": "evt_1", "Webhook-Timestamp": str(int(at)), "Webhook-Signature": signature}

    def with_secrets(self, *secrets):
        return SandboxProvider(self._url, API_KEY, secrets)

    def at(self, url, timeout=10):
        return SandboxProvider(url, API_KEY, [SECRET], timeout=timeout)

    async def _post(self, url: str, **form: str) -> None:
        async with self.http.post(url, data=form, allow_redirects=False) as response:
            assert response.status in (303, 402), await response.text()


class LocalStripe:
    """The process; it listens on all addresses and keeps its data in memory."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://localhost:{self.port}"
        self._log = folder / "localstripe.log"
        command = [str(Path(sys.executable).parent / "localstripe"), "--port", str(self.port), "--from-scratch"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    async def ready(self, http: aiohttp.ClientSession) -> None:
        async def answers() -> bool:
            if self._process.poll() is not None:
                raise RuntimeError(f"localstripe ended:\n{self._log.read_text()}")
            try:
                async with http.get(self.url + "/v1/customers", headers={"authorization": f"Bearer {STRIPE_KEY}"}):
                    return True
            except aiohttp.ClientError:
                return False

        await eventually(answers, timeout=30)


class StripeBank(Bank):
    name = "stripe"
    cannot = LOCALSTRIPE_CANNOT
    CARDS: ClassVar = {"pays": "4242424242424242", "declined": "4000000000000341", "asks": "4000002500003155"}

    def __init__(self, process: LocalStripe, http: aiohttp.ClientSession) -> None:
        self._url = process.url
        super().__init__(self._adapter(), self._adapter(hold=True), http)

    def _adapter(self, *secrets: str, **options: Any) -> StripeProvider:
        options = {"api_base": self._url, "flow": "intent"} | options
        return StripeProvider(STRIPE_KEY, secrets or [STRIPE_SECRET], **options)

    async def pay(self, started) -> None:
        assert (await self._confirm(started, "pays"))["status"] in ("succeeded", "requires_capture")

    async def decline(self, started) -> None:
        # 4000000000000002 would succeed here: localstripe declines it only when it is attached to a customer
        assert (await self._confirm(started, "declined"))["error"]["code"] == "card_declined"

    async def ask_buyer(self, started) -> None:
        assert (await self._confirm(started, "asks"))["status"] == "requires_action"

    async def answer(self, started, approve) -> None:
        secret = started.redirect_url.partition("payment_intent_client_secret=")[2]
        path = f"/v1/payment_intents/{started.reference}/_authenticate"
        await self._call(path, client_secret=secret, success=str(approve).lower())

    async def refund_at_dashboard(self, reference, minor) -> None:
        await self._call("/v1/refunds", payment_intent=reference, amount=str(minor))

    async def send_webhooks_to(self, url) -> None:
        body = {"url": url, "secret": STRIPE_SECRET}
        async with self.http.post(f"{self._url}/_config/webhooks/shop", json=body) as response:
            assert response.status == 200

    def sign(self, body, secret, at):
        import stripe

        header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(at))
        return {"stripe-signature": header}

    def with_secrets(self, *secrets):
        return self._adapter(*secrets)

    def at(self, url, timeout=10):
        return self._adapter(api_base=url, timeout=timeout)

    async def _confirm(self, started: StartedPayment, card: str) -> Any:
        """What Stripe.js does on the page: a payment method from the card, then the intent confirmed with it."""
        number = {
            "card[number]": self.CARDS[card],
            "card[exp_month]": "12",
            "card[exp_year]": "2030",
            "card[cvc]": "123",
        }
        method = await self._call("/v1/payment_methods", type="card", **number)
        await self._call(f"/v1/payment_intents/{started.reference}", payment_method=method["id"])
        return await self._call(f"/v1/payment_intents/{started.reference}/confirm")

    async def _call(self, path: str, **form: str) -> Any:
        headers = {"authorization": f"Bearer {STRIPE_KEY}"}
        async with self.http.post(self._url + path, data=form, headers=headers) as response:
            return await response.json()


def minutes_ago(minutes: float) -> float:
    return time.time() - minutes * 60
