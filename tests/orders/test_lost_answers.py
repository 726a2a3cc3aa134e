"""The provider does what it is asked, and its answer is lost: whatever is asked again must not be done twice."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from contracts import orders
from services.orders.order.tables import Order
from services.orders.payments.apply import refresh
from services.orders.payments.jobs import follow_payments, send_refunds
from services.orders.payments.provider import ProviderError, ProviderStatus
from services.orders.payments.tables import Payment, Refund
from tests.harness import eventually
from tests.orders.fake_provider import SIGNATURE
from tests.orders.placing import placed
from tests.orders.stage import Stage

AWAY = ProviderError("timed out", retryable=True)
MANY = 1_000
"""Attempts of some days without an answer."""


async def due_now(stage: Stage, table: type[Payment] | type[Refund], order_id: str | UUID, **more: Any) -> None:
    async with stage.db.as_worker() as session:
        rows = update(table).where(table.order_id == UUID(str(order_id)))
        await session.execute(rows.values(due_at=datetime.now(UTC), **more))


async def refund_of(stage: Stage, order_id: str) -> Refund:
    async with stage.db.as_worker() as session:
        return (await session.scalars(select(Refund).where(Refund.order_id == UUID(order_id)))).one()


async def asked(stage: Stage, call: str, times: int, table: type[Payment] | type[Refund], order_id: str | UUID) -> None:
    """The job has asked `times` more, without waiting for its pauses."""
    before = stage.cards.calls[call]

    async def check() -> bool:
        await due_now(stage, table, order_id)
        return stage.cards.calls[call] >= before + times

    await eventually(check)


async def test_a_refund_whose_answers_are_lost_goes_back_once(stage: Stage) -> None:
    """However often nobody answers, that is no refusal: the same money is asked for under the same key."""
    card = await stage.buy()
    stage.cards.unheard["refund"] = AWAY
    assert (await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})).status == 201
    await eventually(lambda: stage.cards.calls["refund"])
    await asked(stage, "refund", 4, Refund, card["id"])
    refund = await refund_of(stage, card["id"])
    assert (refund.failures, refund.done, refund.reference) == (0, False, None)
    assert refund.attempts >= 4
    stage.cards.unheard.clear()
    await due_now(stage, Refund, card["id"])
    await stage.order_becomes(card["id"], payment_status="money_refunded")
    (made,) = stage.cards.card_of(card["payments"][0]["payment_id"]).refunds.values()
    assert made[1].minor == 25_000
    history = (await stage.staff("GET", f"/orders/{card['id']}/history")).json["items"]
    assert "refund_failed" not in [entry["what"] for entry in history]
    assert len(stage.ticketing.told(card["id"], orders.PaymentRefunded)) == 1


async def test_a_capture_whose_answer_is_lost_is_done(stage: Stage) -> None:
    stage.cards.unheard["capture"] = AWAY
    hold, payment, _ = await placed(stage)
    stage.cards.pay(payment, ProviderStatus.HELD)
    await stage.webhook(payment)
    await eventually(lambda: stage.cards.calls["capture"])
    await asked(stage, "capture", 2, Payment, hold.hold_id)
    stage.cards.unheard.clear()
    await due_now(stage, Payment, hold.hold_id)
    await stage.confirmed(hold.hold_id)
    assert len(await eventually(lambda: stage.ticketing.told(hold.hold_id, orders.PaymentReceived))) == 1


async def test_a_page_whose_closing_is_not_heard_of_is_closed(stage: Stage) -> None:
    stage.cards.unheard["cancel"] = AWAY
    hold, _, key = await placed(stage)
    assert (await stage.call("POST", f"/orders/{hold.hold_id}/cancel", headers=key)).status == 200
    await eventually(lambda: stage.cards.calls["cancel"])
    await asked(stage, "cancel", 1, Payment, hold.hold_id)
    stage.cards.unheard.clear()
    await due_now(stage, Payment, hold.hold_id)

    async def closed() -> bool:
        (row,) = (await stage.card(hold.hold_id))["payments"]
        return bool(row["stage"] == "cancelled")

    await eventually(closed)


async def test_a_request_that_the_provider_never_answers_is_not_asked_for_ever_faster(stage: Stage) -> None:
    """The pauses grow up to a limit, and the counter of attempts breaks nothing."""
    hold, _, _ = await placed(stage)
    bought = await stage.buy()
    stage.cards.failing |= {"fetch": AWAY, "refund": AWAY}
    assert (await stage.staff("POST", f"/orders/{bought['id']}/refunds", json={})).status == 201
    await eventually(lambda: stage.cards.calls["refund"])
    cases: tuple[tuple[type[Payment] | type[Refund], str, timedelta], ...] = (
        (Payment, str(hold.hold_id), timedelta(minutes=5)),
        (Refund, bought["id"], timedelta(hours=1)),
    )
    for table, order, longest in cases:
        before = datetime.now(UTC)
        await due_now(stage, table, order, attempts=MANY)

        async def claimed(table=table, order=order) -> Any:
            async with stage.db.as_worker() as session:
                row = (await session.scalars(select(table).where(table.order_id == UUID(order)))).one()
            return row if row.attempts > MANY else None

        row = await eventually(claimed)
        assert row.attempts == MANY + 1
        assert before + longest <= row.due_at <= datetime.now(UTC) + longest


@pytest.mark.parametrize("wanted", ["invoice", "card"])
async def test_the_method_may_be_changed_but_gives_no_more_time_than_an_invoice(stage: Stage, wanted: str) -> None:
    """However often it is changed, and also when the page that was open cannot be closed yet."""
    other = {"invoice": "card", "card": "invoice"}[wanted]
    hold = stage.ticketing.hold(stage.organisation, seconds=7 * 86_400)
    first = await stage.checkout(hold, payment_method=other)
    assert first.status == 201, first
    stage.cards.failing["cancel"] = AWAY
    await placed_before(stage, hold.hold_id, timedelta(days=stage.settings.invoice_days) - timedelta(minutes=5))
    again = await stage.checkout(hold, payment_method=wanted)
    assert again.status == 201, again
    card = await stage.card(hold.hold_id)
    latest = datetime.fromisoformat(card["placed_at"]) + timedelta(days=stage.settings.invoice_days)
    assert datetime.fromisoformat(card["pay_by"]) == latest
    assert (again.json["payment"] is None) == (wanted == "invoice")


async def test_a_page_that_is_being_closed_is_nobodys_page(stage: Stage) -> None:
    hold, first, _ = await placed(stage)
    stage.cards.failing["cancel"] = AWAY
    assert (await stage.checkout(hold, payment_method="invoice")).json["payment"] is None
    back = await stage.checkout(hold)
    second = back.json["payment"]["payment_id"]
    assert second != first
    assert (await stage.checkout(hold)).json["payment"]["payment_id"] == second, "its own page is open"
    rows = {row["payment_id"]: row["stage"] for row in (await stage.card(hold.hold_id))["payments"]}
    assert rows == {first: "open", second: "open"}
    stage.cards.pay(second)
    await stage.webhook(second)
    await stage.confirmed(hold.hold_id)


async def test_a_webhook_that_overtakes_the_answer_comes_again(stage: Stage) -> None:
    """The buyer has paid, and we do not know the provider's name of the payment yet: the event must not be used up."""
    stage.cards.unheard["start"] = AWAY
    hold = stage.ticketing.hold(stage.organisation)
    payment = (await stage.checkout(hold)).json["payment"]["payment_id"]
    card = stage.cards.pay(payment)
    body = {"id": f"evt_{uuid4().hex}", "reference": card.reference, "kind": "x", "payment_id": payment}

    async def webhook() -> Any:
        headers = {"x-signature": SIGNATURE}
        return await stage.call("POST", "/webhooks/sandbox", data=json.dumps(body).encode(), headers=headers)

    early = await webhook()
    assert early.status >= 400, early
    stage.cards.unheard.clear()
    await due_now(stage, Payment, hold.hold_id)
    await eventually(lambda: _named(stage, payment))
    applied = await webhook()
    assert (applied.status, applied.json) == (200, {"outcomes": ["applied"]})
    await stage.confirmed(hold.hold_id)


async def _named(stage: Stage, payment: str) -> bool:
    async with stage.db.as_worker() as session:
        return (await session.get_one(Payment, UUID(payment))).reference is not None


async def test_an_answer_that_was_long_on_its_way_does_not_bring_a_hold_back(stage: Stage) -> None:
    """What counts is when the provider was asked: meanwhile another answer has told that the hold is over."""
    hold, payment, _ = await placed(stage)
    card = stage.cards.pay(payment, ProviderStatus.HELD)
    stage.cards.fetch_delay = 1
    asked_before = stage.cards.calls["fetch"]
    slow = asyncio.create_task(refresh(stage.db, stage.cards, UUID(payment), "poll"))
    await eventually(lambda: stage.cards.calls["fetch"] > asked_before)
    stage.cards.fetch_delay = 0
    card.status = ProviderStatus.CANCELLED
    await stage.webhook(payment)
    assert not slow.done(), "the premise"
    await slow
    (row,) = (await stage.card(hold.hold_id))["payments"]
    assert row["stage"] == "cancelled"
    assert (await stage.card(hold.hold_id))["stage"] == "awaiting_payment"


@pytest.mark.parametrize("table", [Payment, Refund])
async def test_the_jobs_do_not_wait_for_what_another_replica_has_taken(
    stage: Stage, table: type[Payment] | type[Refund]
) -> None:
    hold, _, _ = await placed(stage)
    order: UUID = hold.hold_id
    work = partial(follow_payments, {"sandbox": stage.cards}, stage.settings)
    if table is Refund:
        bought = await stage.buy()
        stage.cards.failing["refund"] = AWAY
        assert (await stage.staff("POST", f"/orders/{bought['id']}/refunds", json={})).status == 201
        await eventually(lambda: stage.cards.calls["refund"])
        order, work = UUID(bought["id"]), partial(send_refunds, {"sandbox": stage.cards})
    due = select(table.due_at).where(table.order_id == order, table.due_at <= func.now())
    held = False
    while not held:
        await due_now(stage, table, order)
        async with stage.db.as_worker() as session:
            # Unless the service's own job was quicker.
            held = await session.scalar(due.with_for_update(skip_locked=True)) is not None
            if held:
                working = asyncio.create_task(work(stage.db))
                await eventually(working.done)
                await working


async def placed_before(stage: Stage, order_id: UUID, ago: timedelta) -> None:
    async with stage.db.as_worker() as session:
        order = update(Order).where(Order.id == order_id)
        await session.execute(order.values(placed_at=datetime.now(UTC) - ago))
