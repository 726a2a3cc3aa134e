"""Money that staff enter: with what an accountant needs, in parts, too much, and by mistake."""

from __future__ import annotations

from typing import Any

from contracts import orders
from tests.harness import eventually
from tests.orders.stage import Answer, Stage

PRICE = 25_000


def uah(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "UAH"}


async def invoiced(stage: Stage) -> str:
    hold = stage.ticketing.hold(stage.organisation)
    assert (await stage.checkout(hold, payment_method="invoice")).status == 201
    return str(hold.hold_id)


async def enter(stage: Stage, order: str, **entry: Any) -> Answer:
    return await stage.staff("POST", f"/orders/{order}/payments/by-hand", json=entry)


async def test_an_order_is_paid_once_nothing_is_missing(stage: Stage) -> None:
    order = await invoiced(stage)
    first = await enter(
        stage, order, amount=uah(10_000), value_date="2026-11-27", account="Bank 26", reference="BANK-2026-0815"
    )
    assert (first.status, first.json["stage"], first.json["missing"]) == (201, "awaiting_payment", uah(15_000))
    payment = first.json["payments"][-1]
    assert (payment["reference"], payment["value_date"], payment["account"]) == (
        "BANK-2026-0815",
        "2026-11-27",
        "Bank 26",
    )
    assert await stage.ledger_is_zero() == {"buyer": -10_000, "cash": 10_000}
    second = await enter(stage, order, reference="cash desk 7")
    assert (second.json["stage"], second.json["missing"]) == ("paid", uah(0))
    assert [p["amount"] for p in second.json["payments"]] == [uah(10_000), uah(15_000)]
    for reference in ("BANK-2026-0815", "cash desk 7"):
        (row,) = (await stage.staff("GET", f"/orders?all=true&search={reference}")).json["items"]
        assert row["id"] == order
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": PRICE, "sales": -PRICE}


async def test_an_order_is_found_by_the_reference_of_its_mark(stage: Stage) -> None:
    order = await invoiced(stage)
    marked = await stage.staff("POST", f"/orders/{order}/mark-paid", json={"reference": "BANK-2026-0816"})
    assert [p["reference"] for p in marked.json["payments"]] == ["BANK-2026-0816"]
    (row,) = (await stage.staff("GET", "/orders?all=true&search=bank-2026-0816")).json["items"]
    assert row["id"] == order


async def test_what_is_too_much_is_to_be_sent_back(stage: Stage) -> None:
    order = await invoiced(stage)
    paid = await enter(stage, order, amount=uah(PRICE + 500))
    assert (paid.json["stage"], paid.json["refund_due"]) == ("paid", uah(500))


async def test_a_mistake_ends_the_order_without_a_letter(stage: Stage) -> None:
    order = await invoiced(stage)
    await stage.staff("POST", f"/orders/{order}/mark-paid")
    card = await stage.confirmed(order)
    payment = card["payments"][-1]["payment_id"]
    path = f"/orders/{order}/payments/{payment}/reverse"
    assert (await stage.staff("POST", path, json={})).status == 422
    reversed_ = await stage.staff("POST", path, json={"reason": "another order was meant"})
    assert (reversed_.json["stage"], reversed_.json["payment_status"]) == ("cancelled", "not_paid")
    assert (reversed_.json["cancel_reason"], reversed_.json["refunds"]) == ("entry_reversed", [])
    (cancelled,) = await eventually(lambda: stage.ticketing.told(order, orders.OrderCancelled))
    assert not cancelled.was_paid

    async def gone() -> dict[str, Any]:
        now = await stage.card(order)
        assert all(line["state"] == "gone" for line in now["lines"])
        return now

    assert (await eventually(gone))["refunds"] == []
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}
    assert (await stage.staff("POST", path, json={"reason": "again"})).status == 409


async def test_a_card_payment_cannot_be_taken_for_a_mistake(stage: Stage) -> None:
    card = await stage.buy()
    path = f"/orders/{card['id']}/payments/{card['payments'][0]['payment_id']}/reverse"
    assert (await stage.staff("POST", path, json={"reason": "?"})).status == 409


async def test_only_money_of_the_order_is_entered(stage: Stage) -> None:
    order = await invoiced(stage)
    assert (await enter(stage, order, amount={"minor": 100, "currency": "EUR"})).status == 409
    assert (await enter(stage, order, amount=uah(0))).status == 409
    assert (await enter(stage, order, amount=uah(-5))).status == 409


async def test_an_order_of_nothing_has_words_of_its_own(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation, price=0)
    assert (await stage.checkout(hold)).status == 201
    card = await stage.order_becomes(hold.hold_id, stage="paid")
    assert (card["label"], card["payment_method_label"], card["payments"]) == ("Free", "Nothing to pay", [])
