"""Money that came by bank or in cash goes back when staff have sent it, and not before."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from chassis.metrics import JOB_RUNS
from contracts import orders
from contracts.accounts import Role
from services.orders.metrics import REFUNDS_BY_HAND
from services.orders.order.deadlines import measure
from services.orders.payments.tables import Refund
from tests.harness import eventually
from tests.orders.stage import Stage


async def transferred(stage: Stage) -> dict[str, Any]:
    """An order whose money came by bank transfer."""
    hold = stage.ticketing.hold(stage.organisation)
    assert (await stage.checkout(hold, payment_method="invoice")).status == 201
    assert (await stage.staff("POST", f"/orders/{hold.hold_id}/mark-paid")).status == 200
    return await stage.confirmed(hold.hold_id)


async def owed(stage: Stage, order: str) -> dict[str, Any]:
    """The order card, once staff are asked to send the money back."""

    async def check() -> dict[str, Any]:
        card = await stage.card(order)
        assert card["refund_due"]["minor"], card
        return card

    return await eventually(check)


async def refunded(stage: Stage) -> tuple[str, str]:
    """An order whose whole money staff must send back, and the refund."""
    card = await transferred(stage)
    assert (await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})).status == 201
    (refund,) = (await owed(stage, card["id"]))["refunds"]
    return card["id"], refund["refund_id"]


async def job_runs(stage: Stage, more: int = 2) -> None:
    """Time for the job that sends refunds."""
    runs = JOB_RUNS.labels("refunds", "ok")._value
    before = runs.get()
    await eventually(lambda: runs.get() >= before + more)


async def test_it_is_pending_until_staff_confirm(stage: Stage) -> None:
    order, refund_id = await refunded(stage)
    await job_runs(stage)
    card = await stage.card(order)
    (refund,) = card["refunds"]
    assert (refund["status"], refund["by_hand"], refund["done_at"]) == ("pending", True, None)
    assert (card["stage"], card["payment_status"]) == ("cancelled", "money_received")
    assert (card["refund_due"], card["refunded"]) == (card["total"], {"minor": 0, "currency": "UAH"})
    assert "confirm-refund" in card["actions"]
    assert await stage.ledger_is_zero() == {"buyer": -25_000, "cash": 25_000, "sales": 0}
    (due,) = await eventually(lambda: stage.ticketing.told(order, orders.PaymentRefundDue))
    assert (due.amount.minor, due.provider, str(due.refund_id)) == (25_000, "manual", refund_id)
    assert stage.ticketing.told(order, orders.OrderRefunded) == []
    assert stage.ticketing.told(order, orders.PaymentRefunded) == []
    (row,) = (await stage.staff("GET", "/orders?refund_due=true")).json["items"]
    assert row["id"] == order
    await measure(stage.db)
    assert REFUNDS_BY_HAND._value.get() >= 1

    path = f"/orders/{order}/refunds/{refund_id}/confirm"
    confirmed = await stage.staff("POST", path, json={"reference": "transfer 18"})
    assert confirmed.status == 200, confirmed
    assert (confirmed.json["payment_status"], confirmed.json["refund_due"]["minor"]) == ("money_refunded", 0)
    (refund,) = confirmed.json["refunds"]
    assert (refund["status"], refund["reference"]) == ("done", "transfer 18")
    assert refund["done_at"]
    assert "confirm-refund" not in confirmed.json["actions"]
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}
    (told,) = await eventually(lambda: stage.ticketing.told(order, orders.OrderRefunded))
    assert (told.amount.minor, told.full) == (25_000, True)
    (paid_back,) = await eventually(lambda: stage.ticketing.told(order, orders.PaymentRefunded))
    assert paid_back.amount.minor == 25_000
    assert (await stage.staff("GET", "/orders?refund_due=true")).json["items"] == []
    history = (await stage.staff("GET", f"/orders/{order}/history")).json["items"]
    words = [entry["what"] for entry in history]
    for earlier, later in (("payment_refund_due", "payment_refunded"), ("payment_refunded", "refund_confirmed")):
        assert words.index(earlier) < words.index(later)
    assert history[-1]["details"]["reference"] == "transfer 18"


async def test_a_part_of_an_order_goes_back_by_hand_too(stage: Stage) -> None:
    card = await transferred(stage)
    first = card["lines"][0]["line_id"]
    assert (await stage.staff("POST", f"/orders/{card['id']}/refunds", json={"line_ids": [first]})).status == 201
    card = await owed(stage, card["id"])
    assert (card["stage"], card["payment_status"], card["refund_due"]["minor"]) == ("paid", "money_received", 12_500)
    (refund,) = card["refunds"]
    path = f"/orders/{card['id']}/refunds/{refund['refund_id']}/confirm"
    card = (await stage.staff("POST", path)).json
    assert (card["stage"], card["payment_status"]) == ("paid", "partially_refunded")


async def test_no_tickets_could_be_issued(stage: Stage) -> None:
    """The refund that nobody asked for waits for staff like any other."""
    hold = stage.ticketing.hold(stage.organisation)
    stage.ticketing.refusing.add(hold.hold_id)
    await stage.checkout(hold, payment_method="invoice")
    await stage.staff("POST", f"/orders/{hold.hold_id}/mark-paid")
    card = await owed(stage, str(hold.hold_id))
    assert (card["stage"], card["payment_status"]) == ("cancelled", "money_received")
    assert stage.ticketing.told(hold.hold_id, orders.OrderRefunded) == []


async def test_confirming_is_safe_to_repeat_and_honours_the_version(stage: Stage) -> None:
    order, refund = await refunded(stage)
    path = f"/orders/{order}/refunds/{refund}/confirm"
    version = (await stage.card(order))["version"]
    assert (await stage.staff("POST", path, version=version - 1)).status == 412
    key = {"Idempotency-Key": uuid4().hex}
    answers = [await stage.staff("POST", path, json={"reference": "18"}, headers=key) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json
    assert (await stage.staff("POST", path, json={"reference": "19"}, headers=key)).status == 422
    again = await stage.staff("POST", path)
    assert (again.status, again.json["type"]) == (409, "/problems/not-possible-now")
    assert (await stage.staff("POST", f"/orders/{order}/refunds/{uuid4()}/confirm")).status == 404
    assert (await stage.card(order))["refunded"]["minor"] == 25_000


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.SALES_MANAGER, Role.STOREKEEPER])
async def test_only_who_moves_money_confirms_it(stage: Stage, role: Role) -> None:
    order, refund = await refunded(stage)
    path = f"/orders/{order}/refunds/{refund}/confirm"
    assert (await stage.call("POST", path, headers=stage.as_staff(role))).status == 403
    foreign = stage.as_staff(Role.ORGANIZER, organisation=uuid4())
    assert (await stage.call("POST", path, headers=foreign)).status == 404
    assert (await stage.call("POST", path)).status == 401
    assert (await stage.card(order))["refund_due"]["minor"] == 25_000


async def test_what_came_by_card_is_confirmed_by_the_provider_alone(stage: Stage) -> None:
    card = await stage.buy()
    await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})
    done = await stage.order_becomes(card["id"], payment_status="money_refunded")
    (refund,) = done["refunds"]
    assert (refund["status"], refund["by_hand"]) == ("done", False)
    answer = await stage.staff("POST", f"/orders/{card['id']}/refunds/{refund['refund_id']}/confirm")
    assert answer.status == 409


async def test_a_whole_refund_is_in_the_history_at_once(stage: Stage) -> None:
    """The order is cancelled when the refund is asked for: whoever reads its events learns so before the money is back
    (GAP-15)."""
    order, _ = await refunded(stage)
    history = (await stage.staff("GET", f"/orders/{order}/history")).json["items"]
    (cancelled,) = [entry for entry in history if entry["what"] == "cancelled"]
    assert cancelled["details"] == {"was_paid": True, "reason": "refunded"}
    changed = await eventually(lambda: stage.ticketing.told(order, orders.OrderChanged))
    assert changed[-1].stage is orders.FunnelStage.CANCELLED
    assert stage.ticketing.told(order, orders.OrderCancelled) == []


async def test_rows_of_the_release_before_wait_as_well(stage: Stage) -> None:
    """It gave a refund by hand a time at which the job acts."""
    order, refund = await refunded(stage)
    async with stage.db.as_worker() as session:
        row = await session.get_one(Refund, refund)
        row.due_at = row.created_at
    await job_runs(stage)
    (refund_view,) = (await stage.card(order))["refunds"]
    assert refund_view["status"] == "pending"
