"""Payments through Stripe, with its own SDK.

Two flows, chosen by `STRIPE_FLOW`:

`checkout` (the default) sends the buyer to Stripe's hosted page. A Checkout Session is opened, its id (`cs_...`) is
our reference: Stripe makes the PaymentIntent only once the buyer pays, and cancelling means expiring the session. The
intent is the authority as soon as there is one.

`intent` opens a PaymentIntent (`pi_...` is the reference) and sends the buyer to the return page with the intent's
client secret in the fragment, where a page of ours confirms it with Stripe.js. The tests use it, because `localstripe`
knows no Checkout Sessions; money moves by the same calls in both flows.

Events name the session, the intent, the charge or the refund. Whatever they name, our payment's id travels in the
metadata, and `ProviderEvent.payment_id` carries it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import aiohttp
import stripe

from contracts.money import Money
from services.orders.payments.provider import (
    BadSignature,
    ProviderError,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderStatus,
    StartedPayment,
    StartPayment,
)
from services.orders.payments.providers.stripe_objects import minor_of, ours, payment_id_in, payment_of, refund_of

CHECKOUT_LOCALES = frozenset(["bg", "cs", "de", "en", "es", "et", "fr", "hu", "it", "lt", "lv", "pl", "ro", "ru", "sk"])
"""Those of our buyers' languages that Stripe's page speaks; for others it asks the browser."""
RETRYABLE = (409, 429)


class StripeProvider:
    """Every call ends within `timeout` seconds, the SDK's own retry included, as an answer or a `ProviderError`."""

    name = "stripe"

    def __init__(
        self,
        api_key: str,
        webhook_secrets: Sequence[str],
        *,
        api_base: str = "",
        flow: Literal["checkout", "intent"] = "checkout",
        hold: bool = False,
        timeout: float = 10,
    ) -> None:
        self._http = stripe.AIOHTTPClient(timeout=timeout)
        bases: Any = {"api": api_base.rstrip("/")} if api_base else None
        self._api = stripe.StripeClient(api_key, base_addresses=bases, http_client=self._http, max_network_retries=1).v1
        self._secrets = [secret for secret in webhook_secrets if secret]
        self._flow = flow
        self._capture_method: Literal["manual", "automatic"] = "manual" if hold else "automatic"
        self._timeout = timeout

    async def start(self, payment: StartPayment) -> StartedPayment:
        minor = minor_of(payment.amount)
        metadata = {"payment_id": str(payment.payment_id), "order_id": str(payment.order_id)}
        async with self._deadline():
            if self._flow == "checkout":
                return await self._open_page(payment, minor, metadata)
            intent = await self._api.payment_intents.create_async(
                {
                    "amount": minor,
                    "currency": payment.amount.currency.lower(),
                    "capture_method": self._capture_method,
                    "metadata": {**metadata, "order_number": payment.order_number},
                },
                {"idempotency_key": payment.idempotency_key},
            )
        secret = urlencode({"payment_intent": intent.id, "payment_intent_client_secret": intent.client_secret or ""})
        return StartedPayment(reference=intent.id, redirect_url=f"{payment.return_url}#{secret}")

    async def _open_page(self, payment: StartPayment, minor: int, metadata: dict[str, str]) -> StartedPayment:
        language = payment.locale.replace("_", "-").split("-")[0].lower()
        params: Any = {
            "mode": "payment",
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": payment.amount.currency.lower(),
                        "unit_amount": minor,
                        "product_data": {"name": payment.description or payment.order_number},
                    },
                }
            ],
            "success_url": payment.return_url,
            "cancel_url": payment.return_url,
            "client_reference_id": str(payment.payment_id),
            "locale": language if language in CHECKOUT_LOCALES else "auto",
            "metadata": metadata,
            "payment_intent_data": {
                "capture_method": self._capture_method,
                "description": payment.description or payment.order_number,
                "metadata": metadata,
            },
        }
        if payment.customer_email:
            params["customer_email"] = payment.customer_email
        session = await self._api.checkout.sessions.create_async(params, {"idempotency_key": payment.idempotency_key})
        if session.url is None:
            raise ProviderError("Stripe opened a session without a page", retryable=False)
        return StartedPayment(reference=session.id, redirect_url=session.url)

    async def fetch(self, reference: str) -> ProviderPayment:
        async with self._deadline():
            session, intent = await self._look_up(reference)
            settled = intent if intent and intent["status"] == "succeeded" else None
            refunds = await self._refunds(settled) if settled else []
            disputes = await self._disputes(settled) if settled else []
        return payment_of(reference, session, intent, refunds, disputes)

    async def capture(self, reference: str, amount: Money, idempotency_key: str) -> ProviderPayment:
        async with self._deadline():
            _, intent = await self._look_up(reference)
            if intent is not None and intent["status"] == "requires_capture":
                await self._api.payment_intents.capture_async(
                    intent["id"], {"amount_to_capture": minor_of(amount)}, {"idempotency_key": idempotency_key}
                )
            captured = await self.fetch(reference)
        if captured.status is not ProviderStatus.RECEIVED or captured.amount != amount:
            raise ProviderError(f"not captured: {captured.status}, {captured.amount.minor}", retryable=False)
        return captured

    async def cancel(self, reference: str, idempotency_key: str) -> ProviderPayment:
        async with self._deadline():
            session, intent = await self._look_up(reference)
            try:
                if session is not None and session["status"] == "open":
                    await self._api.checkout.sessions.expire_async(reference, {}, {"idempotency_key": idempotency_key})
                elif intent is not None and intent["status"] not in ("canceled", "succeeded"):
                    await self._api.payment_intents.cancel_async(intent["id"], {}, {"idempotency_key": idempotency_key})
            except stripe.InvalidRequestError:
                # The buyer may have paid between the question and the answer.
                now = await self.fetch(reference)
                if now.status not in (ProviderStatus.RECEIVED, ProviderStatus.CANCELLED):
                    raise
                return now
        return await self.fetch(reference)

    async def refund(self, reference: str, amount: Money, idempotency_key: str, refund_id: UUID) -> ProviderRefund:
        async with self._deadline():
            _, intent = await self._look_up(reference)
            if intent is None:
                raise ProviderError("nothing was received yet", retryable=False)
            refund = await self._api.refunds.create_async(
                {"payment_intent": intent["id"], "amount": minor_of(amount), "metadata": ours(intent, refund_id)},
                {"idempotency_key": idempotency_key},
            )
        return refund_of(refund.to_dict())

    async def find(self, reference: str) -> UUID | None:
        """Refunds of the dashboard and disputes name the intent alone, whose page we know by its session."""
        if not reference.startswith("pi_"):
            return None
        async with self._deadline():
            _, intent = await self._look_up(reference)
        return payment_id_in(intent or {})

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> list[ProviderEvent]:
        signature = next((value for name, value in headers.items() if name.lower() == "stripe-signature"), "")
        if not self._signed(body, signature):
            raise BadSignature("no webhook secret of ours made this Stripe-Signature, or it is too old")
        event = stripe.Webhook.construct_event_without_verification(body).to_dict()
        about = event.get("data", {}).get("object", {})
        reference = about.get("id") if about.get("object") in ("checkout.session", "payment_intent") else None
        reference = reference or about.get("payment_intent")
        if not isinstance(reference, str):
            return []
        payment_id = payment_id_in(about)
        return [ProviderEvent(id=event["id"], reference=reference, kind=event["type"], payment_id=payment_id)]

    def _signed(self, body: bytes, signature: str) -> bool:
        for secret in self._secrets:
            try:
                stripe.Webhook.construct_event(body, signature, secret)
            except (stripe.SignatureVerificationError, ValueError):
                continue
            return True
        return False

    async def aclose(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def _look_up(self, reference: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The session, if the reference names one, and the intent, if there is one yet."""
        if not reference.startswith("cs_"):
            intent = await self._api.payment_intents.retrieve_async(reference, {"expand": ["latest_charge"]})
            return None, intent.to_dict()
        found = await self._api.checkout.sessions.retrieve_async(
            reference, {"expand": ["payment_intent.latest_charge"]}
        )
        session = found.to_dict()
        return session, session.get("payment_intent")

    async def _refunds(self, intent: Mapping[str, Any]) -> list[dict[str, Any]]:
        listed = await self._api.refunds.list_async({"payment_intent": intent["id"], "limit": 100})
        return [refund.to_dict() async for refund in listed.auto_paging_iter()]

    async def _disputes(self, intent: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Only asked for if its charge says that there is one: hardly any has."""
        charge = intent.get("latest_charge")
        if not isinstance(charge, dict) or not charge.get("disputed"):
            return []
        listed = await self._api.disputes.list_async({"payment_intent": intent["id"], "limit": 100})
        return [dispute.to_dict() async for dispute in listed.auto_paging_iter()]

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError as error:
            raise ProviderError(f"Stripe did not answer within {self._timeout} s", retryable=True) from error
        except stripe.StripeError as error:
            status = error.http_status
            retryable = status is None or status >= 500 or status in RETRYABLE
            raise ProviderError(f"Stripe: {error.user_message or error}", retryable=retryable) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderError(f"Stripe could not be asked: {type(error).__name__}", retryable=True) from error
