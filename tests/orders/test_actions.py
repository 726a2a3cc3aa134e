"""What staff do to an order: cancel, refund, correct and delete it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts import orders
from tests.harness import eventually
from tests.orders.desk import listed, placed
from tests.orders.stage import Stage


async def test_cancelling_an_unpaid_order_frees_the_seats_and_tells_nobody(stage: Stage) -> None:
    order = await placed(stage)
    answer = await stage.staff("POST", f"/orders/{order}/cancel", json={"reason": "created by mistake"})
    assert answer.status == 200, answer
    assert (answer.json["stage"], answer.json["cancelled_from"]) == ("cancelled", "awaiting_payment")
    (told,) = await eventually(lambda: stage.ticketing.told(order, orders.OrderCancelled))
    assert (told.was_paid, told.reason) == (False, "created by mistake")
    assert stage.ticketing.told(order, orders.TicketsRevoked) == []


async def test_cancelling_a_paid_order_voids_the_tickets_then_returns_the_money(stage: Stage) -> None:
    card = await stage.buy()
    stage.ticketing.silent.add(_id(card))
    assert (await stage.staff("POST", f"/orders/{card['id']}/cancel")).status == 200
    (revoked,) = await eventually(lambda: _revocations(stage, card))
    assert len(revoked.data.seats) == 2
    (told,) = await eventually(lambda: stage.ticketing.told(card["id"], orders.OrderCancelled))
    assert told.was_paid
    assert stage.cards.calls["refund"] == 0, "money went back before the tickets were void"
    await stage.ticketing.void(revoked)
    done = await stage.order_becomes(card["id"], stage="cancelled", payment_status="money_refunded")
    assert done["cancelled_from"] == "paid"
    assert done["money_refunded_at"]
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}


def _id(card: dict[str, Any]) -> UUID:
    return UUID(card["id"])


def _revocations(stage: Stage, card: dict[str, Any]) -> list[Any]:
    return [e for e in stage.ticketing.events[_id(card)] if isinstance(e.data, orders.TicketsRevoked)]


async def test_refund_in_part_then_in_full(stage: Stage) -> None:
    card = await stage.buy(seats=3, price=10_000)
    first, *others = [line["line_id"] for line in card["lines"]]
    key = {"Idempotency-Key": uuid4().hex}
    path = f"/orders/{card['id']}/refunds"
    asked = await stage.staff("POST", path, json={"line_ids": [first], "reason": "ill"}, headers=key)
    again = await stage.staff("POST", path, json={"line_ids": [first], "reason": "ill"}, headers=key)
    assert (asked.status, again.status) == (201, 201)
    assert asked.json == again.json
    assert again.headers["Idempotency-Replay"] == "true"
    other_body = await stage.staff("POST", path, json={"line_ids": others[:1]}, headers=key)
    assert other_body.status == 422
    partly = await stage.order_becomes(card["id"], payment_status="partially_refunded", stage="paid")
    assert partly["refunded"] == {"minor": 10_000, "currency": "UAH"}
    assert [line["state"] for line in partly["lines"]] == ["gone", "live", "live"]

    twice = await stage.staff("POST", path, json={"line_ids": [first]})
    assert twice.status == 409
    assert (await stage.staff("POST", path, json={})).status == 201
    full = await stage.order_becomes(card["id"], payment_status="money_refunded", stage="cancelled")
    assert full["refunded"] == {"minor": 30_000, "currency": "UAH"}
    await eventually(lambda: len(stage.ticketing.told(card["id"], orders.OrderRefunded)) == 2)
    parts = stage.ticketing.told(card["id"], orders.OrderRefunded)
    assert [(told.amount.minor, told.full) for told in parts] == [(10_000, False), (20_000, True)]
    assert sum(told.amount.minor for told in stage.ticketing.told(card["id"], orders.PaymentRefunded)) == 30_000
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}


async def test_asked_again_with_the_same_key_it_is_done_once(stage: Stage) -> None:
    """Also when the version that was seen is no more, because the first request has changed it."""
    for path, becomes in (("mark-paid", "paid"), ("cancel", "cancelled")):
        order = await placed(stage)
        again = {"version": (await stage.card(order))["version"], "headers": {"Idempotency-Key": uuid4().hex}}
        answers = [await stage.staff("POST", f"/orders/{order}/{path}", json={}, **again) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 200], path
        assert len({str(answer.json) for answer in answers}) == 1
        assert {answer.headers["ETag"] for answer in answers} == {f'"v{answers[0].json["version"]}"'}
        assert [answer.headers.get("Idempotency-Replay") for answer in answers] == [None, "true", "true"]
        assert answers[0].json["stage"] == becomes
        other = await stage.staff(
            "POST", f"/orders/{order}/{path}", json={"reason" if path == "cancel" else "reference": "x"}, **again
        )
        assert other.status == 422


async def test_two_staff_cancel_at_once(stage: Stage) -> None:
    card = await stage.buy()
    answers = await asyncio.gather(*(stage.staff("POST", f"/orders/{card['id']}/cancel") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    await stage.order_becomes(card["id"], payment_status="money_refunded")
    assert len(stage.ticketing.told(card["id"], orders.OrderCancelled)) == 1


async def test_stale_edits_are_refused(stage: Stage) -> None:
    order = await placed(stage)
    version = (await stage.card(order))["version"]
    change = {"customer": {"name": "Інше Імʼя", "email": "other@example.com"}}
    assert (await stage.staff("PATCH", f"/orders/{order}", json=change)).status == 428
    changed = await stage.staff("PATCH", f"/orders/{order}", json=change, version=version)
    assert changed.status == 200, changed
    assert changed.headers["ETag"] == f'"v{changed.json["version"]}"'
    stale = await stage.staff("PATCH", f"/orders/{order}", json=change, version=version)
    assert (stale.status, stale.json["version"]) == (412, changed.json["version"])
    for path in ("cancel", "mark-paid", "refunds"):
        answer = await stage.staff("POST", f"/orders/{order}/{path}", json={}, version=version)
        assert answer.status == 412, path
    assert (await stage.staff("DELETE", f"/orders/{order}", version=version)).status == 412
    (told,) = await eventually(lambda: stage.ticketing.told(order, orders.OrderChanged))
    assert told.customer.name == "Інше Імʼя"


@pytest.mark.shows("ORD-66")
async def test_the_history_says_who_was_called_what_before(stage: Stage) -> None:
    order = await placed(stage)
    card = await stage.card(order)
    line = card["lines"][0]
    guest = {"name": "Guest", "email": "guest@example.com"}
    change = {
        "customer": {"name": card["customer"]["name"], "email": "other@example.com"},
        "participants": [{"line_id": line["line_id"], **guest}],
    }
    answer = await stage.staff("PATCH", f"/orders/{order}", json=change, version=card["version"])
    assert answer.status == 200, answer
    (entry,) = [
        e for e in (await stage.staff("GET", f"/orders/{order}/history")).json["items"] if e["what"] == "changed"
    ]
    before = {("customer", "email"): card["customer"]["email"], ("customer", "phone"): card["customer"]["phone"]}
    before |= {(line["line_id"], field): line["participant"][field] for field in ("name", "email", "phone")}
    after = {("customer", "email"): "other@example.com", ("customer", "phone"): None}
    after |= {(line["line_id"], "phone"): None, **{(line["line_id"], field): value for field, value in guest.items()}}
    expected = {key: (old, after[key]) for key, old in before.items() if old != after[key]}
    assert {(c["of"], c["field"]): (c["before"], c["after"]) for c in entry["details"]["changes"]} == expected
    assert {field for _, field in expected} >= {"email", "name"}
    assert entry["actor"] == "staff@example.com"


@pytest.mark.shows("ORD-54")
async def test_deleted_orders_leave_the_lists_once_their_money_is_back(stage: Stage) -> None:
    card = await stage.buy()
    assert "delete" not in card["actions"]
    refused = await stage.staff("DELETE", f"/orders/{card['id']}", version=card["version"])
    assert (refused.status, refused.json["detail"]) == (
        409,
        "The order has tickets or money. Cancel or refund it first.",
    )
    await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})
    card = await stage.order_becomes(card["id"], payment_status="money_refunded")
    assert "delete" in card["actions"]
    assert (await stage.staff("DELETE", f"/orders/{card['id']}", version=card["version"])).status == 204
    assert await listed(stage, "?all=true") == []
    assert (await stage.card(card["id"]))["payments"]
    history = (await stage.staff("GET", f"/orders/{card['id']}/history")).json["items"]
    assert (history[-1]["what"], history[-1]["actor"]) == ("deleted", "staff@example.com")
    await eventually(lambda: stage.ticketing.told(card["id"], orders.OrderDeleted))

    unpaid = await placed(stage)
    version = (await stage.card(unpaid))["version"]
    assert (await stage.staff("DELETE", f"/orders/{unpaid}", version=version)).status == 204
    await eventually(lambda: stage.ticketing.told(unpaid, orders.OrderCancelled))
