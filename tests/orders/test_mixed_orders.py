"""One order of several holds, courses and goods."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from contracts import orders, ticketing
from tests.harness import eventually
from tests.orders.stage import Answer, Stage
from tests.orders.ticketing import Hold

BUYER = {"name": "Леся Українка", "email": "lesia@example.com"}
UAH = {"currency": "UAH"}


async def offer(stage: Stage, kind: str = "goods", price: int = 1_000, **more: Any) -> str:
    body = {"kind": kind, "sku": uuid7().hex, "name": f"A {kind}", "price": {"minor": price, **UAH}, **more}
    answer = await stage.staff("POST", "/offers", json=body)
    assert answer.status == 201, answer
    return answer.json["offer_id"]  # type: ignore[no-any-return]


async def order(stage: Stage, order_id: UUID, *holds: Hold, items: list[dict[str, Any]] | None = None, **more: Any):
    body = {"quotes": [hold.quote for hold in holds], "items": items or [], "customer": BUYER, **more}
    return await stage.call("POST", f"/orders/{order_id}/checkout", json=body)


async def pay(stage: Stage, answer: Answer) -> None:
    payment = answer.json["payment"]["payment_id"]
    stage.cards.pay(payment)
    assert (await stage.webhook(payment)).status == 200


async def test_two_shows_a_course_and_books_are_one_order(stage: Stage) -> None:
    first = stage.ticketing.hold(stage.organisation, seats=2)
    second = stage.ticketing.hold(stage.organisation, places=3)
    for hold in (first, second):
        await stage.ticketing.publish(hold.placed, stage.organisation)
        await eventually(lambda hold=hold: "order.interested" in stage.ticketing.types(hold.hold_id))  # type: ignore[misc]
    course, book = await offer(stage, "course", 50_000), await offer(stage, price=999)
    items = [{"offer_id": course}, {"offer_id": book, "quantity": 2, "unit_price": {"minor": 999, **UAH}}]
    answer = await order(stage, first.hold_id, first, second, items=items)
    assert answer.status == 201, answer
    placed = answer.json["order"]
    assert placed["total"]["minor"] == first.total + second.total + 50_000 + 2 * 999
    assert [line["kind"] for line in placed["lines"]] == ["seat"] * 4 + ["place", "course", "goods"]
    assert {line["given_by"] for line in placed["lines"]} == {"ticketing", "school", "warehouse"}

    # The interest in the second show is this order: it is in no list, and was told to be none.
    rows = (await stage.staff("GET", "/orders?all=true")).json["items"]
    assert [row["id"] for row in rows] == [str(first.hold_id)]
    await eventually(lambda: stage.ticketing.types(second.hold_id)[-1] == "order.deleted")

    await pay(stage, answer)
    card = await stage.confirmed(first.hold_id)
    assert [(line["kind"], line["given"]) for line in card["lines"][-3:]] == [("place", 3), ("course", 1), ("goods", 0)]
    assert len(card["documents"]) == 2
    assert len(await eventually(lambda: stage.ticketing.enrolments[first.hold_id])) == 1

    book_line = card["lines"][-1]["line_id"]
    body = {"lines": [{"line_id": book_line, "quantity": 1}], "reason": "damaged"}
    assert (await stage.staff("POST", f"/orders/{card['id']}/refunds", json=body)).status == 201
    card = await stage.order_becomes(card["id"], refunded={"minor": 999, **UAH})
    assert (card["stage"], card["lines"][-1]["returned"]) == ("paid", 1)
    assert stage.ticketing.told(card["id"], orders.TicketsRevoked) == []

    # Cancelled, each hold is asked for its own tickets.
    assert (await stage.staff("POST", f"/orders/{card['id']}/cancel")).status == 200
    await stage.order_becomes(card["id"], payment_status="money_refunded")
    revoked = stage.ticketing.told(card["id"], orders.TicketsRevoked)
    assert {(one.hold_id, one.show_id) for one in revoked} == {
        (None, first.show_id),
        (second.hold_id, second.show_id),
    }
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}


async def test_what_one_hold_cannot_have_is_refunded(stage: Stage) -> None:
    mine = uuid7()
    first, second = stage.ticketing.hold(stage.organisation), stage.ticketing.hold(stage.organisation, price=700)
    stage.ticketing.refusing.add(second.hold_id)
    answer = await order(stage, mine, first, second)
    assert answer.status == 201, answer
    await pay(stage, answer)
    card = await stage.order_becomes(mine, payment_status="partially_refunded", stage="paid")
    assert card["refunded"]["minor"] == second.total
    assert card["confirmed_at"]
    assert [line["state"] for line in card["lines"]] == ["live", "live", "gone", "gone"]


async def test_what_is_told_of_any_hold_reaches_the_order(stage: Stage) -> None:
    first, second = stage.ticketing.hold(stage.organisation), stage.ticketing.hold(stage.organisation)
    answer = await order(stage, first.hold_id, first, second)
    assert answer.status == 201, answer
    pay_by = answer.json["order"]["pay_by"]
    # Heard of after the checkout, the hold is part of the order, and its time that of the order.
    await stage.ticketing.publish(second.placed, stage.organisation)
    later = ticketing.HoldExtended(
        hold_id=second.hold_id, show_id=second.show_id, expires_at=second.until.replace(year=2099),
        pay_by=second.until.replace(year=2098),
    )  # fmt: skip
    await stage.ticketing.publish(later, stage.organisation, version=2)
    await eventually(lambda: _later(stage, first.hold_id, pay_by))
    lapsed = ticketing.HoldLapsed(hold_id=second.hold_id, show_id=second.show_id, currency="UAH")
    await stage.ticketing.publish(lapsed, stage.organisation, version=3)
    released = ticketing.HoldReleased(
        hold_id=second.hold_id, show_id=second.show_id, seats=(), reason=ticketing.HoldEnd.ANNULLED
    )
    await stage.ticketing.publish(released, stage.organisation, version=4)
    await stage.order_becomes(first.hold_id, stage="cancelled", cancel_reason="hold_released")
    assert stage.ticketing.told(first.hold_id, orders.SeatsUnclaimed) == []
    assert [t for t in stage.ticketing.types(second.hold_id) if t.startswith("order.")] == []


async def _later(stage: Stage, order_id: UUID, than: str) -> bool:
    return bool((await stage.card(order_id))["pay_by"] > than)


async def test_a_repeated_request_is_the_same_order(stage: Stage) -> None:
    mine, hold, book = uuid7(), stage.ticketing.hold(stage.organisation), await offer(stage)
    items = [{"offer_id": book, "quantity": 2}]
    first = await order(stage, mine, hold, items=items)
    again = await order(stage, mine, hold, items=items)
    assert (first.status, again.status) == (201, 201), again
    assert again.json["payment"] == first.json["payment"]
    other = await order(stage, mine, hold, items=items, customer={"name": "Mallory", "email": "m@example.com"})
    assert (other.status, other.json["type"].rsplit("/", 1)[-1]) == (409, "id-taken"), other
    more = await order(stage, mine, hold, items=[{"offer_id": book, "quantity": 3}])
    assert more.status == 409, more
    by_invoice = await order(stage, mine, hold, items=items, payment_method="invoice")
    assert (by_invoice.status, by_invoice.json["type"].rsplit("/", 1)[-1]) == (409, "invoice-not-offered"), by_invoice


async def test_a_hold_is_part_of_one_order(stage: Stage) -> None:
    first, second = stage.ticketing.hold(stage.organisation), stage.ticketing.hold(stage.organisation)
    assert (await order(stage, first.hold_id, first, second)).status == 201
    alone = await stage.checkout(second)
    assert (alone.status, alone.json["type"].rsplit("/", 1)[-1]) == (409, "not-possible-now"), alone
    assert (await order(stage, uuid7(), second)).status == 409
    assert (await order(stage, uuid7(), first)).status == 409
    # Nor does a hold open under the id of a stranger's.
    strange = stage.ticketing.hold(stage.organisation)
    await stage.ticketing.publish(strange.placed, stage.organisation)
    await eventually(lambda: "order.interested" in stage.ticketing.types(strange.hold_id))
    third = stage.ticketing.hold(stage.organisation)
    answer = await order(stage, strange.hold_id, third)
    assert (answer.status, answer.json["type"].rsplit("/", 1)[-1]) == (409, "id-taken"), answer


async def test_another_price_than_the_buyer_saw(stage: Stage) -> None:
    book = await offer(stage, price=1_000)
    seen = {"offer_id": book, "quantity": 1, "unit_price": {"minor": 900, **UAH}}
    answer = await order(stage, uuid7(), items=[seen])
    assert (answer.status, answer.json["type"].rsplit("/", 1)[-1]) == (409, "price-changed"), answer
    assert answer.json["unit_price"] == {"minor": 1_000, **UAH}
    seen["unit_price"] = answer.json["unit_price"]
    assert (await order(stage, uuid7(), items=[seen])).status == 201


async def test_what_cannot_be_one_order(stage: Stage) -> None:
    hold, book = stage.ticketing.hold(stage.organisation), await offer(stage)
    foreign = stage.ticketing.hold(UUID(int=7))
    in_euros = {"offer_id": book, "unit_price": {"minor": 1_000, "currency": "EUR"}}
    closed = await offer(stage, on_sale=False)
    wrong = [
        (await order(stage, hold.hold_id), 422),
        (await order(stage, hold.hold_id, hold, hold), 422),
        (await order(stage, hold.hold_id, hold, foreign), 422),
        (await order(stage, hold.hold_id, hold, items=[{"offer_id": book}, {"offer_id": book}]), 422),
        (await order(stage, hold.hold_id, hold, items=[{"offer_id": str(uuid7())}]), 404),
        (await order(stage, hold.hold_id, hold, items=[{"offer_id": closed}]), 409),
        (await order(stage, hold.hold_id, hold, quote=hold.quote), 422),
        (await order(stage, hold.hold_id, hold, items=[in_euros]), 409),
    ]  # fmt: skip
    assert [answer.status for answer, _ in wrong] == [status for _, status in wrong], wrong


async def test_places_of_a_course_make_students(stage: Stage) -> None:
    course = await offer(stage, "course", 2_000)
    unnamed = await order(stage, uuid7(), items=[{"offer_id": course, "quantity": 3}])
    assert (unnamed.status, "participants" in unnamed.json["detail"]) == (422, True), unnamed
    people = [{"name": f"Учень {n}", "email": f"s{n}@example.com"} for n in (1, 2)] + [{"name": "Без пошти"}]
    mine = uuid7()
    answer = await order(stage, mine, items=[{"offer_id": course, "quantity": 3, "participants": people}])
    assert answer.status == 201, answer
    await pay(stage, answer)
    await stage.confirmed(mine)
    await eventually(lambda: len(stage.ticketing.enrolments[mine]) == 3)
    opened = stage.ticketing.enrolments[mine]
    assert sorted(one.student.name for one in opened) == ["Без пошти", "Учень 1", "Учень 2"]
    assert {one.student.email for one in opened} == {"s1@example.com", "s2@example.com", BUYER["email"]}


@pytest.mark.parametrize("contact", [{}, {"phone": "+380 44 123 45 67"}])
async def test_a_student_whom_nobody_can_reach_is_refused(stage: Stage, contact: dict[str, str]) -> None:
    course, goods = await offer(stage, "course"), await offer(stage)
    customer = {"last_name": "Без Контакту", **contact}
    answer = await stage.staff("POST", "/orders", json={"offer_id": course, "customer": customer})
    assert answer.status == (201 if contact else 422), answer
    assert (await stage.staff("POST", "/orders", json={"offer_id": goods, "customer": customer})).status == 201
