"""A buyer buys: from the hold to the tickets, by card and by invoice."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.keys import KeySet, TokenExpired
from contracts import orders
from services.orders.payments.provider import ProviderStatus
from tests.harness import eventually
from tests.orders.stage import Stage


async def test_a_card_order_from_checkout_to_tickets(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    answer = await stage.checkout(hold)
    assert answer.status == 201, answer
    order, payment = answer.json["order"], answer.json["payment"]
    assert (order["stage"], order["label"], order["colour"]) == ("awaiting_payment", "New", "orange")
    assert order["total"] == {"minor": 25_000, "currency": "UAH"}
    assert (order["payment_status"], order["paid_at"]) == ("not_paid", None)
    assert order["created_at"]
    assert payment["redirect_url"].startswith("http://card.test/pay/")

    stage.cards.pay(payment["payment_id"])
    assert (await stage.webhook(payment["payment_id"])).status == 200
    card = await stage.confirmed(hold.hold_id)
    assert (card["stage"], card["label"], card["colour"]) == ("paid", "Paid", "green")
    assert card["paid"] == {"minor": 25_000, "currency": "UAH"}
    assert all(line["ticket_number"] for line in card["lines"])
    assert (card["payment_status"], bool(card["paid_at"])) == ("money_received", True)
    await eventually(lambda: "order.confirmed" in stage.ticketing.types(hold.hold_id))
    assert sorted(stage.ticketing.types(hold.hold_id)) == [
        "order.confirmed", "order.paid", "order.placed", "payment.received", "payment.started",
    ]  # fmt: skip
    balances = await stage.ledger_is_zero()
    assert balances == {"buyer": 0, "cash": 25_000, "sales": -25_000}


async def test_interest_is_recorded_before_and_after_checkout(stage: Stage) -> None:
    """The hold's event may come before checkout or after it; either way there is one order."""
    first = stage.ticketing.hold(stage.organisation)
    await stage.ticketing.publish(first.placed, stage.organisation)
    await eventually(lambda: "order.interested" in stage.ticketing.types(first.hold_id))
    card = await stage.card(first.hold_id)
    assert (card["stage"], card["label"]) == ("interested", "Interested")
    assert (await stage.checkout(first)).status == 201

    second = stage.ticketing.hold(stage.organisation)
    assert (await stage.checkout(second)).status == 201
    await stage.ticketing.publish(second.placed, stage.organisation)
    marker = stage.ticketing.hold(stage.organisation)
    await stage.ticketing.publish(marker.placed, stage.organisation)
    await eventually(lambda: "order.interested" in stage.ticketing.types(marker.hold_id))
    for hold in (first, second):
        card = await stage.card(hold.hold_id)
        assert card["stage"] == "awaiting_payment"
        assert len(card["lines"]) == 2
    assert "order.interested" not in stage.ticketing.types(second.hold_id)


@pytest.mark.parametrize("known_first", [True, False])
async def test_interest_has_the_name_of_who_is_signed_in(stage: Stage, known_first: bool) -> None:
    """Accounts and holds come by topics of their own, so either may be heard of first."""
    account, email = uuid4(), f"{uuid4().hex[:8]}@example.com"
    hold = stage.ticketing.hold(stage.organisation)
    placed = hold.placed.model_copy(update={"account_id": account})

    async def register() -> None:
        await stage.register_account(email, "Марія Адасовська", "+38 (067) 123-45-67", account, shared=False)

    if known_first:
        await register()
    await stage.ticketing.publish(placed, stage.organisation)
    if not known_first:
        await stage.order_becomes(hold.hold_id, stage="interested", customer=None)
        await register()
    who = {"name": "Марія Адасовська", "email": email, "phone": "+380671234567"}
    registered = who | {"phone": "+38 (067) 123-45-67"}
    await stage.order_becomes(hold.hold_id, stage="interested", customer=who | {"registered": registered})


async def test_for_oneself_for_several_and_for_another_person(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation, seats=3)
    friend, child = hold.seats[1].seat, hold.seats[2].seat
    participants = [
        {"seat": friend, "name": "Леся Українка", "email": "Lesia@Example.com"},
        {"seat": child, "name": "Мала"},
    ]
    answer = await stage.checkout(hold, participants=participants)
    assert answer.status == 201, answer
    lines = {line["reference"]: line["participant"] for line in answer.json["order"]["lines"]}
    customer = answer.json["order"]["customer"]
    assert lines[hold.seats[0].seat]["name"] == "Марія Заньковецька"
    assert lines[friend] == {"name": "Леся Українка", "email": "lesia@example.com", "phone": None}
    assert lines[child] == {"name": "Мала", "email": customer["email"], "phone": None}


async def test_invoice_order_is_found_and_marked_paid(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    answer = await stage.checkout(hold, payment_method="invoice")
    assert answer.status == 201, answer
    assert answer.json["payment"] is None
    placed = await eventually(lambda: stage.ticketing.told(hold.hold_id, orders.OrderPlaced))
    assert placed[0].payment_method is orders.PaymentMethod.INVOICE

    listed = await stage.staff("GET", "/orders?stage=awaiting_payment&payment_method=invoice")
    (row,) = listed.json["items"]
    assert row["payment_method_label"] == "Payment by invoice"
    assert "mark-paid" in row["actions"]
    paid = await stage.staff("POST", f"/orders/{row['id']}/mark-paid", json={"reference": "transfer 17"})
    assert paid.status == 200, paid
    card = await stage.confirmed(hold.hold_id)
    assert [p["payment_system"] for p in card["payments"]] == ["manual"]
    assert card["payment_method"] == "invoice"


async def test_invoice_only_where_it_is_offered(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation, invoice=False)
    answer = await stage.checkout(hold, payment_method="invoice")
    assert (answer.status, answer.json["type"]) == (409, "/problems/invoice-not-offered")
    allowed = stage.ticketing.hold(stage.organisation, invoice=True)
    assert (await stage.checkout(allowed, payment_method="invoice")).status == 201


@pytest.mark.shows("ORD-107")
async def test_held_money_is_captured_when_the_tickets_exist(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    stage.ticketing.silent.add(hold.hold_id)
    payment = (await stage.checkout(hold)).json["payment"]["payment_id"]
    stage.cards.pay(payment, ProviderStatus.HELD)
    await stage.webhook(payment)
    card = await stage.card(hold.hold_id)
    assert (card["stage"], card["payment_status"]) == ("paid", "hold")
    assert card["held_at"]
    assert card["paid_at"] is None
    assert stage.cards.calls["capture"] == 0
    (event,) = await eventually(
        lambda: [e for e in stage.ticketing.events[hold.hold_id] if isinstance(e.data, orders.OrderPaid)]
    )
    await stage.ticketing.convert(event)
    await stage.confirmed(hold.hold_id)
    await eventually(lambda: stage.cards.calls["capture"])
    card = await eventually(lambda: _received(stage, hold.hold_id))
    assert card["paid_at"]
    assert stage.cards.calls["capture"] == 1


async def _received(stage: Stage, order_id: UUID) -> dict[str, Any]:
    card: dict[str, Any] = await stage.card(order_id)
    assert card["payment_status"] == "money_received"
    return card


async def test_checkout_twice_is_one_order_and_one_page(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    first, again = (await stage.checkout(hold)).json, (await stage.checkout(hold)).json
    assert first["payment"] == again["payment"]
    assert first["order"]["number"] == again["order"]["number"]
    assert stage.cards.calls["start"] == 1


async def test_another_method_has_its_own_deadline_and_closes_the_card_page(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    page = (await stage.checkout(hold)).json["payment"]["payment_id"]
    invoice = (await stage.checkout(hold, payment_method="invoice")).json
    assert (invoice["payment"], invoice["order"]["payment_method"]) == (None, "invoice")
    wait = datetime.fromisoformat(invoice["order"]["pay_by"]) - datetime.now(UTC)
    assert timedelta(days=4, hours=23) < wait <= timedelta(days=5)
    await eventually(lambda: stage.cards.card_of(page).status is ProviderStatus.CANCELLED)
    told = await eventually(lambda: stage.ticketing.told(hold.hold_id, orders.OrderChanged))
    assert told[-1].payment_method is orders.PaymentMethod.INVOICE
    assert told[-1].pay_by == datetime.fromisoformat(invoice["order"]["pay_by"])

    card = (await stage.checkout(hold)).json
    wait = datetime.fromisoformat(card["order"]["pay_by"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < wait <= timedelta(minutes=15)
    assert card["payment"]["payment_id"] != page
    stage.cards.pay(card["payment"]["payment_id"])
    await stage.webhook(card["payment"]["payment_id"])
    await stage.confirmed(hold.hold_id)


async def test_a_quote_that_has_expired_is_a_hold_that_is_over(stage: Stage) -> None:
    over = stage.ticketing.hold(stage.organisation, seconds=-300)
    answer = await stage.checkout(over)
    assert (answer.status, answer.json["type"]) == (409, "/problems/hold-over")
    keys = KeySet(inline=json.dumps(stage.ticketing.signer.jwks()))
    with pytest.raises(TokenExpired):
        await keys.verify(over.quote, audience="quote", issuer="footlights-ticketing")


async def test_prices_come_from_the_quote_alone(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    forged = hold.quote[:-6] + ("aaaaaa" if not hold.quote.endswith("aaaaaa") else "bbbbbb")
    answer = await stage.call(
        "POST", f"/orders/{hold.hold_id}/checkout", json=stage.checkout_body(hold) | {"quote": forged}
    )
    assert (answer.status, answer.json["type"]) == (422, "/problems/bad-quote")
    other = await stage.call("POST", f"/orders/{uuid4()}/checkout", json=stage.checkout_body(hold))
    assert other.json["type"] == "/problems/bad-quote"
    with_price = await stage.call(
        "POST", f"/orders/{hold.hold_id}/checkout", json=stage.checkout_body(hold) | {"total": 1}
    )
    assert with_price.status == 422


@pytest.mark.parametrize(
    "change",
    [
        {"customer": {"name": "X", "email": "not an address"}},
        {"customer": {"name": "X", "phone": "12345"}},
        {"customer": {"name": "X"}},
        {"participants": [{"seat": "not-mine", "name": "X"}]},
        {"return_url": "https://evil.example/"},
    ],
)
async def test_bad_checkouts_say_what_is_wrong(stage: Stage, change: dict[str, object]) -> None:
    answer = await stage.checkout(stage.ticketing.hold(stage.organisation), **change)
    assert answer.status == 422, answer
    assert answer.headers["content-type"] == "application/problem+json"
