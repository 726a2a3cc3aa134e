"""What `localstripe` cannot prove, against answers in the shape of Stripe's own documentation.

A server records each request and gives the answer that the test laid out for its path.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest
import stripe
from fastapi import FastAPI, Request, Response

from contracts.money import Money
from services.orders.payments.provider import ProviderError, ProviderRefundStatus, ProviderStatus
from services.orders.payments.providers.stripe import StripeProvider
from tests.harness import serve
from tests.orders.payments.banks import STRIPE_KEY, STRIPE_SECRET, asked

PAYMENT = UUID("01937a2e-7c00-7000-8000-000000000001")
REFUND = UUID("01937a2e-7c00-7000-8000-000000000002")
CHARGE = {"id": "ch_1", "object": "charge", "amount": 12500, "amount_captured": 12500, "currency": "uah"}
INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 12500,
    "amount_received": 12500,
    "currency": "uah",
    "status": "succeeded",
    "last_payment_error": None,
    "cancellation_reason": None,
    "latest_charge": CHARGE,
    "metadata": {"payment_id": str(PAYMENT)},
}
SESSION = {
    "id": "cs_1",
    "object": "checkout.session",
    "amount_total": 12500,
    "currency": "uah",
    "status": "open",
    "url": "https://checkout.stripe.test/c/cs_1",
    "payment_intent": None,
    "metadata": {"payment_id": str(PAYMENT)},
}


class Wire:
    """`answers` by method and path; `seen` in order: method, path, form, idempotency key."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
        self.seen: list[tuple[str, str, dict[str, str], str]] = []

    def lay_out(self, method: str, path: str, answer: dict[str, Any], status: int = 200) -> None:
        self.answers[method, path] = (status, answer)

    def sent(self, method: str, path: str) -> tuple[dict[str, str], str]:
        return next((form, key) for verb, where, form, key in self.seen if (verb, where) == (method, path))

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.api_route("/v1/{path:path}", methods=["GET", "POST"])
        async def answer(path: str, request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode()))
            key = request.headers.get("idempotency-key", "")
            self.seen.append((request.method, path, form, key))
            status, body = self.answers[request.method, path]
            return Response(json.dumps(body), status, media_type="application/json")

        return app


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def checkout(wire: Wire) -> AsyncIterator[StripeProvider]:
    async with serve(wire.app()) as url:
        provider = StripeProvider(STRIPE_KEY, [STRIPE_SECRET], api_base=url)
        yield provider
        await provider.aclose()


async def test_a_hosted_page_is_opened_with_our_id_and_key(wire, checkout):
    wire.lay_out("POST", "checkout/sessions", SESSION)
    started = await checkout.start(asked(PAYMENT, key="start-1"))
    assert (started.reference, started.redirect_url) == ("cs_1", SESSION["url"])
    form, key = wire.sent("POST", "checkout/sessions")
    assert key == "start-1"
    assert form["line_items[0][price_data][unit_amount]"] == "12500"
    assert form["line_items[0][price_data][currency]"] == "uah"
    assert form["payment_intent_data[metadata][payment_id]"] == form["metadata[payment_id]"] == str(PAYMENT)
    assert form["payment_intent_data[capture_method]"] == "automatic"
    assert form["locale"] == "auto", "Stripe's page does not speak Ukrainian"
    assert form["success_url"] == form["cancel_url"] == "http://shop.test/back"


async def test_the_idempotency_key_travels_with_everything_that_moves_money(wire, checkout):
    wire.lay_out("GET", "checkout/sessions/cs_1", {**SESSION, "status": "complete", "payment_intent": INTENT})
    wire.lay_out("GET", "refunds", {"object": "list", "data": [], "has_more": False, "url": "/v1/refunds"})
    wire.lay_out(
        "POST", "refunds", {"id": "re_1", "object": "refund", "status": "pending", "amount": 500, "currency": "uah"}
    )
    refund = await checkout.refund("cs_1", Money(minor=500, currency="UAH"), "refund-1", REFUND)
    assert refund.status is ProviderRefundStatus.PENDING
    form, key = wire.sent("POST", "refunds")
    assert key == "refund-1"
    assert form == {
        "payment_intent": "pi_1",
        "amount": "500",
        "metadata[refund_of]": "pi_1",
        "metadata[payment_id]": str(PAYMENT),
        "metadata[refund_id]": str(REFUND),
    }


@pytest.mark.parametrize(
    ("session", "intent", "status"),
    [
        ("open", None, ProviderStatus.PENDING),
        ("open", {"status": "requires_payment_method", "last_payment_error": {"code": "x"}}, ProviderStatus.PENDING),
        ("expired", None, ProviderStatus.CANCELLED),
        ("complete", {"status": "processing"}, ProviderStatus.PENDING),
        ("complete", {"status": "requires_capture", "amount_received": 0}, ProviderStatus.HELD),
        ("complete", {"status": "succeeded"}, ProviderStatus.RECEIVED),
        ("complete", {"status": "canceled"}, ProviderStatus.CANCELLED),
    ],
)
async def test_the_state_of_a_page_and_its_intent(wire, checkout, session, intent, status):
    found = {**SESSION, "status": session, "payment_intent": intent and {**INTENT, **intent}}
    wire.lay_out("GET", "checkout/sessions/cs_1", found)
    wire.lay_out("GET", "refunds", {"object": "list", "data": [], "has_more": False, "url": "/v1/refunds"})
    payment = await checkout.fetch("cs_1")
    assert (payment.status, payment.amount) == (status, Money(minor=12500, currency="UAH"))


async def test_an_open_page_is_cancelled_by_expiring_it(wire, checkout):
    wire.lay_out("GET", "checkout/sessions/cs_1", SESSION)
    wire.lay_out("POST", "checkout/sessions/cs_1/expire", {**SESSION, "status": "expired"})
    await checkout.cancel("cs_1", "cancel-1")
    assert wire.sent("POST", "checkout/sessions/cs_1/expire")[1] == "cancel-1"


async def test_a_page_paid_meanwhile_is_answered_as_paid(wire, checkout):
    """The buyer pays between our look and the expiry: the second look finds the money."""
    wire.lay_out("GET", "checkout/sessions/cs_1", SESSION)
    wire.lay_out("GET", "refunds", {"object": "list", "data": [], "has_more": False, "url": "/v1/refunds"})
    wire.lay_out("POST", "checkout/sessions/cs_1/expire", {"error": {"type": "invalid_request_error"}}, 400)
    looked = 0
    app_answers = wire.answers

    class Paying(dict):  # type: ignore[type-arg]
        def __getitem__(self, at):
            nonlocal looked
            if at == ("GET", "checkout/sessions/cs_1"):
                looked += 1
                if looked == 2:
                    return 200, {**SESSION, "status": "complete", "payment_intent": INTENT}
            return super().__getitem__(at)

    wire.answers = Paying(app_answers)
    assert (await checkout.cancel("cs_1", "cancel-1")).status is ProviderStatus.RECEIVED


async def test_what_was_let_go_by_a_partial_capture_is_no_refund(wire, checkout):
    refund = {"object": "refund", "amount": 2500, "currency": "uah", "status": "succeeded", "metadata": {}}
    released = {**refund, "id": "re_0"}
    ours = {**refund, "id": "re_1", "metadata": {"refund_of": "pi_1", "refund_id": str(REFUND)}}
    failed = {**refund, "id": "re_2", "amount": 100, "status": "failed", "failure_reason": "declined"}
    wire.lay_out("GET", "payment_intents/pi_1", {**INTENT, "amount_received": 10000})
    wire.lay_out(
        "GET", "refunds", {"object": "list", "data": [failed, ours, released], "has_more": False, "url": "/v1/refunds"}
    )
    payment = await checkout.fetch("pi_1")
    assert (payment.amount.minor, payment.refunded.minor) == (10000, 2500)
    assert [(refund.reference, refund.status) for refund in payment.refunds] == [
        ("re_2", ProviderRefundStatus.FAILED),
        ("re_1", ProviderRefundStatus.DONE),
    ]
    assert [refund.refund_id for refund in payment.refunds] == [None, REFUND]


async def test_a_dispute_is_told_with_its_payment(wire, checkout):
    """Inquiries take no money, so they are none."""
    wire.lay_out("GET", "payment_intents/pi_1", {**INTENT, "latest_charge": {**CHARGE, "disputed": True}})
    wire.lay_out("GET", "refunds", {"object": "list", "data": [], "has_more": False, "url": "/v1/refunds"})
    dispute = {"object": "dispute", "amount": 12500, "currency": "uah", "reason": "fraudulent"}
    statuses = ("warning_needs_response", "needs_response", "under_review", "won", "lost")
    told = [{**dispute, "id": f"dp_{i}", "status": status} for i, status in enumerate(statuses)]
    wire.lay_out("GET", "disputes", {"object": "list", "data": told, "has_more": False, "url": "/v1/disputes"})
    payment = await checkout.fetch("pi_1")
    assert [(d.reference, d.status.value, d.amount.minor) for d in payment.disputes] == [
        ("dp_1", "open", 12500),
        ("dp_2", "open", 12500),
        ("dp_3", "won", 12500),
        ("dp_4", "lost", 12500),
    ]


async def test_what_names_only_the_intent_leads_to_the_payment_of_a_hosted_page(wire, checkout):
    """Disputes and refunds of the dashboard carry no metadata of ours, and we know a hosted page by its session."""
    wire.lay_out("GET", "payment_intents/pi_1", INTENT)
    assert await checkout.find("pi_1") == PAYMENT
    wire.lay_out("GET", "payment_intents/pi_2", {**INTENT, "id": "pi_2", "metadata": {}})
    assert await checkout.find("pi_2") is None
    assert await checkout.find("cs_9") is None


@pytest.mark.parametrize(
    ("about", "reference"),
    [
        (SESSION, "cs_1"),
        (INTENT, "pi_1"),
        ({**CHARGE, "payment_intent": "pi_1", "metadata": INTENT["metadata"]}, "pi_1"),
        ({"id": "re_1", "object": "refund", "payment_intent": "pi_1", "metadata": INTENT["metadata"]}, "pi_1"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["object"],
)
async def test_every_event_leads_back_to_our_payment(checkout, about, reference):
    event = {"id": "evt_1", "object": "event", "type": "some.thing", "data": {"object": about}}
    body = json.dumps(event).encode()
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), STRIPE_SECRET)
    (parsed,) = checkout.parse_webhook({"Stripe-Signature": header}, body)
    assert (parsed.id, parsed.reference, parsed.payment_id) == ("evt_1", reference, PAYMENT)


async def test_a_refund_of_too_much_is_refused_for_good(wire, checkout):
    wire.lay_out("GET", "payment_intents/pi_1", INTENT)
    error = {"type": "invalid_request_error", "code": "charge_already_refunded", "message": "already refunded"}
    wire.lay_out("POST", "refunds", {"error": error}, 400)
    with pytest.raises(ProviderError) as refused:
        await checkout.refund("pi_1", Money(minor=1, currency="UAH"), "k", REFUND)
    assert not refused.value.retryable
    assert "already refunded" in str(refused.value)


async def test_two_requests_with_one_key_at_once_are_worth_repeating(wire, checkout):
    wire.lay_out("POST", "checkout/sessions", {"error": {"type": "idempotency_error", "message": "in progress"}}, 409)
    with pytest.raises(ProviderError) as refused:
        await checkout.start(asked())
    assert refused.value.retryable


async def test_an_amount_stripe_cannot_carry_is_refused_before_it_is_sent(wire, checkout):
    with pytest.raises(ProviderError) as refused:
        await checkout.start(asked(amount=Money(minor=12345, currency="KWD")))
    assert not refused.value.retryable
    assert wire.seen == []
