"""Courses and goods: the catalogue, manual orders, students."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from contracts import orders
from contracts.accounts import Role
from tests.harness import eventually
from tests.orders.stage import Stage

UAH = {"minor": 150_000, "currency": "UAH"}


async def offer(stage: Stage, **more: Any) -> dict[str, Any]:
    body = {"kind": "course", "sku": uuid4().hex[:8], "name": "Режисура", "price": UAH, **more}
    answer = await stage.staff("POST", "/offers", json=body)
    assert answer.status == 201, answer
    return answer.json  # type: ignore[no-any-return]


def manual(product: dict[str, Any]) -> dict[str, Any]:
    customer = {"last_name": "Курбас", "first_name": "Лесь", "phone": "0671234567", "email": "les@example.com"}
    return {"offer_id": product["offer_id"], "customer": customer, "locale": "uk"}


@pytest.mark.shows("ORD-2", "ORD-41", "ORD-44", "ORD-45", "ORD-46", "CAT-2")
async def test_staff_enter_an_order_and_see_its_card(stage: Stage) -> None:
    product, programme = await offer(stage), await offer(stage, kind="goods", name="Програмка")
    catalogue = (await stage.staff("GET", "/offers")).json["items"]
    assert {(row["kind"], row["name"]) for row in catalogue} == {("course", "Режисура"), ("goods", "Програмка")}
    answer = await stage.staff("POST", "/orders", json=manual(product))
    assert answer.status == 201, answer
    card = answer.json
    assert card["customer"]["name"] == "Лесь Курбас"
    assert card["customer"]["phone"] == "+380671234567"
    assert (card["label"], card["colour"], card["title"]) == ("New", "orange", "Режисура")
    assert card["total"] == UAH
    without = manual(product)
    del without["offer_id"]
    assert (await stage.staff("POST", "/orders", json=without)).status == 422
    unknown = await stage.staff("POST", "/orders", json={**manual(product), "offer_id": str(uuid4())})
    assert unknown.json["type"] == "/problems/offer-not-found"
    # The default view of products shows all of them, paid or not (GAP-19).
    goods = (await stage.staff("POST", "/orders", json=manual(programme))).json
    await stage.staff("POST", f"/orders/{goods['id']}/mark-paid")
    listed = (await stage.staff("GET", "/orders")).json["items"]
    assert {row["id"]: (row["title"], row["label"], row["colour"]) for row in listed} == {
        card["id"]: ("Режисура", "New", "orange"),
        goods["id"]: ("Програмка", "Paid", "green"),
    }


async def test_marking_a_course_paid_makes_a_student_with_access(stage: Stage) -> None:
    product = await offer(stage, group="Осінь 2026")
    card = (await stage.staff("POST", "/orders", json=manual(product))).json
    paid = await stage.staff("POST", f"/orders/{card['id']}/mark-paid")
    assert paid.status == 200, paid
    assert (paid.json["label"], paid.json["payment_status"]) == ("Paid", "money_received")
    students = (await stage.staff("GET", f"/enrolments?offer_id={product['offer_id']}")).json["items"]
    assert [(s["name"], s["course"], s["email"]) for s in students] == [("Лесь Курбас", "Режисура", "les@example.com")]
    in_group = await stage.staff("GET", "/enrolments", params={"group": "Осінь 2026"})
    assert [s["group"] for s in in_group.json["items"]] == ["Осінь 2026"]
    (opened,) = await eventually(lambda: stage.ticketing.enrolments[UUID(card["id"])])
    way_in = opened.access_url.removeprefix("http://shop.test/api/orders")
    inside = await stage.call("GET", way_in)
    assert (inside.json["course"], inside.json["student"]) == ("Режисура", "Лесь Курбас")
    types = await eventually(lambda: _all_told(stage, card["id"]))
    assert types == ["order.placed", "payment.received", "order.paid", "order.confirmed"]
    await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})
    assert (await stage.call("GET", way_in)).status == 404


def _all_told(stage: Stage, order: str) -> list[str] | None:
    types = stage.ticketing.types(order)
    events = sorted(stage.ticketing.events[UUID(order)], key=lambda event: event.aggregate_version)
    names = [event.type.split(".", 1)[1].rsplit(".", 1)[0] for event in events]
    return names if "order.confirmed" in types and "payment.received" in types else None


@pytest.mark.shows("ORD-33", "ORD-40", "ORD-42")
@pytest.mark.parametrize("kind", ["course", "goods"])
async def test_an_order_on_the_site_appears_as_new_and_its_payment_completes_it(stage: Stage, kind: str) -> None:
    product = await offer(stage, kind=kind)
    order_id = str(uuid7())
    body = {"order_id": order_id, "customer": {"name": "Марʼян", "email": "m@example.com"}, "locale": "uk"}
    started = await stage.call("POST", f"/offers/{product['offer_id']}/orders", json=body)
    assert started.status == 201, started
    (row,) = (await stage.staff("GET", "/orders")).json["items"]
    assert (row["id"], row["customer"]["name"]) == (order_id, "Марʼян")
    assert (row["label"], row["colour"], row["payment_status"]) == ("New", "orange", "not_paid")
    payment = started.json["payment"]["payment_id"]
    stage.cards.pay(payment)
    await stage.webhook(payment)
    await stage.confirmed(order_id)
    (row,) = (await stage.staff("GET", "/orders")).json["items"]
    assert (row["label"], row["total"]) == ("Paid", UAH)


async def test_the_id_of_an_order_is_no_key_to_it(stage: Stage) -> None:
    product = await offer(stage)
    path = f"/offers/{product['offer_id']}/orders"
    order_id = str(uuid7())
    body = {"order_id": order_id, "customer": {"name": "Марʼян", "phone": "+380671234567"}}
    assert (await stage.call("POST", path, json=body)).status == 201
    stranger = {"order_id": order_id, "customer": {"name": "Хтось", "phone": "+380501112233"}}
    async with stage.db.as_worker() as session:
        old = {"id": UUID(order_id), "at": datetime.now(UTC) - timedelta(hours=2)}
        taken = [await stage.call("POST", path, json=stranger)]
        await session.execute(text("UPDATE orders SET created_at = :at WHERE id = :id"), old)
    taken.append(await stage.call("POST", path, json=body))
    other = replace(stage, organisation=uuid4())
    elsewhere = await offer(other)
    taken.append(await other.call("POST", f"/offers/{elsewhere['offer_id']}/orders", json=body))
    assert [(answer.status, answer.json["type"]) for answer in taken] == [(409, "/problems/id-taken")] * 3

    mine = stage.tokens.headers(stage.tokens.buyer(uuid4()))
    own = body | {"order_id": str(uuid7())}
    assert (await stage.call("POST", path, json=own, headers=mine)).status == 201
    assert (await stage.call("POST", path, json=own, headers=mine)).status == 201
    assert (await stage.call("POST", path, json=own)).status == 409


async def test_a_course_bought_by_card_opens_at_once(stage: Stage) -> None:
    product = await offer(stage)
    order_id = str(uuid7())
    body = {"order_id": order_id, "customer": {"name": "Марʼян", "email": "m@example.com"}, "locale": "uk"}
    path = f"/offers/{product['offer_id']}/orders"
    started = await stage.call("POST", path, json=body)
    again = await stage.call("POST", path, json=body)
    assert started.status == again.status == 201, started
    assert started.json["payment"]["payment_id"] == again.json["payment"]["payment_id"]
    assert started.json["order"]["label"] == "New"
    payment = started.json["payment"]["payment_id"]
    stage.cards.pay(payment)
    await stage.webhook(payment)
    card = await stage.confirmed(order_id)
    assert card["stage"] == "paid"
    refund = await stage.staff("POST", f"/orders/{order_id}/refunds", json={})
    assert refund.status == 201
    await stage.order_becomes(order_id, payment_status="money_refunded", stage="cancelled")
    await stage.ledger_is_zero()


async def test_what_costs_nothing_is_paid_when_it_is_ordered(stage: Stage) -> None:
    product = await offer(stage, price={"minor": 0, "currency": "UAH"})
    body = {"order_id": str(uuid7()), "customer": {"name": "Марʼян", "email": "m@example.com"}}
    ordered = await stage.call("POST", f"/offers/{product['offer_id']}/orders", json=body)
    assert ordered.status == 201, ordered
    assert ordered.json["payment"] is None
    assert ordered.json["order"]["stage"] == "paid"
    (placed,) = await eventually(lambda: stage.ticketing.told(str(body["order_id"]), orders.OrderPlaced))
    assert placed.pay_by is not None
    card = (await stage.staff("POST", "/orders", json=manual(product))).json
    assert card["stage"] == "paid"


async def test_offers_are_edited_by_those_who_keep_them(stage: Stage) -> None:
    product = await offer(stage, kind="goods", name="Програмка")
    path = f"/offers/{product['offer_id']}"
    buy = {"order_id": str(uuid7()), "customer": {"name": "Х", "email": "x@example.com"}, "payment_method": "invoice"}
    refused = await stage.call("POST", f"{path}/orders", json=buy)
    assert refused.json["type"] == "/problems/invoice-not-offered"
    keeper = {**stage.as_staff(Role.STOREKEEPER), "If-Match": '"v1"'}
    changed = await stage.call("PATCH", path, json={"invoice_allowed": True}, headers=keeper)
    assert changed.json["invoice_allowed"] is True
    assert (await stage.call("PATCH", path, json={"name": "X"}, headers=keeper)).status == 412
    assert (await stage.call("POST", f"{path}/orders", json=buy)).status == 201
    manager = {**stage.as_staff(Role.SALES_MANAGER), "If-Match": '"v2"'}
    assert (await stage.call("PATCH", path, json={"name": "X"}, headers=manager)).status == 403
    for version, group in ((2, "A-12"), (3, None)):
        edit = {"group": group, "name": None}
        headers = {**keeper, "If-Match": f'"v{version}"'}
        changed = await stage.call("PATCH", path, json=edit, headers=headers)
        assert (changed.json["group"], changed.json["name"]) == (group, "Програмка")
    same_sku = {"kind": "goods", "sku": product["sku"], "name": "Інша", "price": UAH}
    taken = await stage.staff("POST", "/offers", json=same_sku)
    assert (taken.status, taken.json["type"]) == (409, "/problems/sku-taken")


async def test_manual_orders_repeat_safely(stage: Stage) -> None:
    product = await offer(stage)
    key = {"Idempotency-Key": uuid4().hex}
    first = await stage.staff("POST", "/orders", json=manual(product), headers=key)
    again = await stage.staff("POST", "/orders", json=manual(product), headers=key)
    assert first.json["id"] == again.json["id"]
    assert len(await eventually(lambda: stage.ticketing.told(first.json["id"], orders.OrderPlaced))) == 1


async def test_wish_list_and_watched_prices(stage: Stage) -> None:
    product = await offer(stage)
    path = f"/offers/{product['offer_id']}/wishes"
    person = stage.tokens.headers(stage.tokens.buyer(email="olena@example.com", name="Олена Теліга"))
    for wanted in ("wishlist", "watching_price", "wishlist"):
        answer = await stage.call("POST", path, json={"stage": wanted}, headers=person)
        assert answer.status == 201, answer
    assert (await stage.call("POST", path, json={"stage": "wishlist"})).status == 401
    assert (await stage.call("POST", path, json={"stage": "paid"}, headers=person)).status == 422
    rows = (await stage.staff("GET", "/orders?stage=wishlist&stage=watching_price&sort=status")).json["items"]
    assert [(row["label"], row["customer"]["name"]) for row in rows] == [
        ("Watching the price", "Олена Теліга"),
        ("Wish list", "Олена Теліга"),
    ]


async def test_values_that_cannot_be_stored_are_refused(stage: Stage) -> None:
    body = {"kind": "course", "sku": "nul", "name": "a\x00b", "price": UAH}
    assert (await stage.staff("POST", "/offers", json=body)).status == 422
    dear = {"kind": "course", "sku": "dear", "name": "x", "price": {"minor": 10**15, "currency": "UAH"}}
    assert (await stage.staff("POST", "/offers", json=dear)).status == 422
    assert (await stage.staff("GET", "/orders", params={"search": "\x00"})).status == 422
