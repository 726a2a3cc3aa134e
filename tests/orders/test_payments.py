"""What can go wrong with money: late, lost, twice, at once, refused, too much."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update

from contracts import orders
from services.orders.metrics import WANTED_SECONDS
from services.orders.order.deadlines import measure
from services.orders.payments.begin import MOST_PAGES
from services.orders.payments.provider import ProviderError, ProviderRefundStatus, ProviderStatus
from services.orders.payments.tables import Payment, PaymentEvent, Refund
from services.orders.process.happenings import PaymentSeen
from services.orders.process.settle import observe
from services.orders.process.state import Payment as PaymentState
from services.orders.process.state import PaymentStage
from tests.harness import eventually
from tests.orders.placing import placed
from tests.orders.stage import Stage
from tests.orders.ticketing import Hold


async def test_webhook_and_browser_return_at_once_give_one_transition(stage: Stage) -> None:
    hold, payment, _ = await placed(stage)
    stage.cards.pay(payment)
    stage.cards.fetch_delay = 0.05
    answers = await asyncio.gather(
        *(stage.webhook(payment) for _ in range(4)),
        *(stage.webhook(payment, "evt-same") for _ in range(3)),
        *(stage.call("GET", stage.way_back(payment)) for _ in range(4)),
    )
    assert {answer.status for answer in answers} == {200, 303}
    await stage.confirmed(hold.hold_id)
    await eventually(lambda: "order.confirmed" in stage.ticketing.types(hold.hold_id))
    types = stage.ticketing.types(hold.hold_id)
    assert types.count("order.paid") == types.count("payment.received") == 1


async def test_the_return_leads_to_the_order_or_back_to_our_page(stage: Stage) -> None:
    hold, payment, _ = await placed(stage)
    answer = await stage.call("GET", f"{stage.way_back(payment)}&status=paid")
    assert answer.headers["location"].startswith(f"http://shop.test/api/orders/orders/{hold.hold_id}?key=")
    assert (await stage.card(hold.hold_id))["stage"] == "awaiting_payment"

    own = stage.ticketing.hold(stage.organisation)
    started = await stage.checkout(own, return_url="http://shop.test/done")
    back = await stage.call("GET", stage.way_back(started.json["payment"]["payment_id"]))
    assert back.headers["location"] == "http://shop.test/done"


async def test_the_id_of_a_payment_opens_nothing(stage: Stage) -> None:
    """It stands in the provider's pages and in events; the order's key does not."""
    _, payment, _ = await placed(stage)
    _, other, _ = await placed(stage)
    bare = await stage.call("GET", f"/payments/{payment}/return")
    foreign = await stage.call("GET", stage.way_back(other).replace(other, payment))
    assert (bare.status, foreign.status) == (401, 401)


async def test_a_repeated_webhook_is_processed_once(stage: Stage) -> None:
    _, payment, _ = await placed(stage)
    assert (await stage.webhook(payment, "evt-1")).json == {"outcomes": ["applied"]}
    assert (await stage.webhook(payment, "evt-1")).json == {"outcomes": ["duplicate"]}


async def test_a_forged_webhook_is_refused_and_an_unknown_one_kept(stage: Stage) -> None:
    _, payment, _ = await placed(stage)
    assert (await stage.webhook(payment, signature="forged")).status == 401
    unknown = await stage.call(
        "POST",
        "/webhooks/sandbox",
        data=b'{"id": "evt-unknown", "reference": "nobody", "kind": "x"}',
        headers={"x-signature": "test-signature"},
    )
    assert (unknown.status, unknown.json) == (200, {"outcomes": ["unknown"]})
    assert (await stage.call("POST", "/webhooks/nobody", data=b"{}")).status == 404


async def test_a_lost_webhook_is_found_by_polling(stage: Stage) -> None:
    hold, payment, _ = await placed(stage)
    stage.cards.pay(payment)
    await stage.confirmed(hold.hold_id)


async def test_a_refused_card_can_be_tried_again(stage: Stage) -> None:
    hold, first, key = await placed(stage)
    stage.cards.pay(first, ProviderStatus.FAILED)
    await stage.webhook(first)
    card = await stage.card(hold.hold_id)
    assert card["payments"][0]["stage"] == "failed"
    assert card["payments"][0]["reason"] == "insufficient funds"
    again = await stage.call("POST", f"/orders/{hold.hold_id}/payments", headers=key)
    assert again.status == 201
    stage.cards.pay(again.json["payment_id"])
    await stage.webhook(again.json["payment_id"])
    await stage.confirmed(hold.hold_id)
    (failed,) = await eventually(lambda: stage.ticketing.told(hold.hold_id, orders.PaymentFailed))
    assert failed.reason == "insufficient funds"


async def test_a_capture_that_keeps_failing_is_noticed(stage: Stage) -> None:
    """Otherwise the hold lapses, and a buyer who has paid loses the tickets."""
    stage.cards.failing["capture"] = ProviderError("away", retryable=True)
    hold, payment, _ = await placed(stage)
    stage.cards.pay(payment, ProviderStatus.HELD)
    await stage.webhook(payment)
    await eventually(lambda: stage.cards.calls["capture"])
    async with stage.db.as_worker() as session:
        earlier = datetime.now(UTC) - timedelta(hours=1)
        await session.execute(update(Payment).where(Payment.id == UUID(payment)).values(wanted_since=earlier))
    await measure(stage.db)
    assert 3600 <= WANTED_SECONDS.labels("capture")._value.get() < 3700
    stage.cards.failing.clear()
    await stage.confirmed(hold.hold_id)
    await measure(stage.db)
    assert WANTED_SECONDS.labels("capture")._value.get() < 3600


async def test_starting_a_payment_again_opens_no_second_page(stage: Stage) -> None:
    hold, first, key = await placed(stage)
    once = key | {"Idempotency-Key": uuid4().hex}
    path = f"/orders/{hold.hold_id}/payments"
    started = [await stage.call("POST", path, headers=once) for _ in range(3)]
    assert [answer.status for answer in started] == [201] * 3
    assert len({answer.body for answer in started}) == 1
    assert started[0].json["payment_id"] != first
    assert started[0].json["redirect_url"]


async def test_the_pages_of_an_order_are_bounded(stage: Stage) -> None:
    hold, _, key = await placed(stage)
    path = f"/orders/{hold.hold_id}/payments"
    more = [(await stage.call("POST", path, headers=key)).json["payment_id"] for _ in range(MOST_PAGES - 1)]
    assert len(set(more)) == MOST_PAGES - 1
    stage.cards.pay(more[-1], ProviderStatus.FAILED)
    await stage.webhook(more[-1])
    again = await stage.call("POST", path, headers=key)
    assert (again.status, again.json["payment_id"]) == (201, more[-1])
    assert again.json["redirect_url"]


async def test_the_page_of_a_declined_card_is_closed_with_the_order(stage: Stage) -> None:
    hold, payment, key = await placed(stage)
    stage.cards.pay(payment, ProviderStatus.FAILED)
    await stage.webhook(payment)
    assert (await stage.call("POST", f"/orders/{hold.hold_id}/cancel", headers=key)).status == 200
    await eventually(lambda: stage.cards.card_of(payment).status is ProviderStatus.CANCELLED)

    other, declined, _ = await placed(stage)
    stage.cards.pay(declined, ProviderStatus.FAILED)
    await stage.webhook(declined)
    assert (await stage.staff("POST", f"/orders/{other.hold_id}/mark-paid")).status == 200
    assert stage.cards.card_of(declined).status is ProviderStatus.CANCELLED


async def test_a_wrong_amount_does_not_pay(stage: Stage) -> None:
    hold, payment, _ = await placed(stage)
    card = stage.cards.pay(payment)
    card.amount = card.asked.amount.model_copy(update={"minor": 1})
    await stage.webhook(payment)
    order = await stage.order_becomes(hold.hold_id, payment_status="money_refunded")
    assert order["stage"] == "awaiting_payment"
    assert stage.ticketing.told(hold.hold_id, orders.OrderPaid) == []


async def test_a_foreign_currency_changes_nothing(stage: Stage) -> None:
    hold, payment, _ = await placed(stage)
    card = stage.cards.pay(payment)
    card.amount = card.asked.amount.model_copy(update={"currency": "USD"})
    await stage.webhook(payment)
    order = await stage.card(hold.hold_id)
    assert (order["stage"], order["payment_status"]) == ("awaiting_payment", "not_paid")
    history = await stage.staff("GET", f"/orders/{hold.hold_id}/history")
    assert "payment_mismatch" in [entry["what"] for entry in history.json["items"]]


async def test_the_provider_being_away_at_checkout_only_delays_the_page(stage: Stage) -> None:
    """It has opened the page, and its answer is lost: asking again must be the same request in every letter."""
    stage.cards.unheard["start"] = ProviderError("away", retryable=True)
    hold = stage.ticketing.hold(stage.organisation)
    answer = await stage.checkout(hold)
    assert answer.status == 201
    payment = answer.json["payment"]
    assert payment["redirect_url"] is None
    stage.cards.unheard.clear()
    card = await eventually(lambda: _with_page(stage, hold))
    assert card["payments"][0]["payment_id"] == payment["payment_id"]
    assert len([c for c in stage.cards.cards.values() if c.asked.order_id == hold.hold_id]) == 1


async def _with_page(stage: Stage, hold: Hold) -> Any:
    card = await stage.card(hold.hold_id)
    return card if card["payments"][0]["redirect_url"] else None


async def test_refunds_are_tried_until_they_are_done(stage: Stage) -> None:
    card = await stage.buy()
    payment = card["payments"][0]["payment_id"]
    stage.cards.refund_status = ProviderRefundStatus.PENDING
    answer = await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})
    assert answer.status == 201, answer
    await eventually(lambda: stage.cards.card_of(payment).refunds)
    assert (await stage.card(card["id"]))["payment_status"] == "money_received"
    stage.cards.finish_refunds(payment, ProviderRefundStatus.DONE)
    await stage.webhook(payment)
    await stage.order_becomes(card["id"], payment_status="money_refunded")


async def test_a_failed_refund_is_still_owed(stage: Stage) -> None:
    card = await stage.buy()
    payment = card["payments"][0]["payment_id"]
    stage.cards.refund_status = ProviderRefundStatus.FAILED
    await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})
    await eventually(lambda: stage.cards.card_of(payment).refunds)
    stage.cards.refund_status = ProviderRefundStatus.DONE

    async def due_now() -> bool:
        async with stage.db.as_worker() as session:
            statement = update(Refund).where(
                Refund.order_id == UUID(card["id"]), Refund.failures > 0, Refund.stage == "pending"
            )
            done = await session.execute(statement.values(due_at=datetime.now(UTC)).returning(Refund.id))
            return bool(done.all())

    await eventually(due_now)
    await stage.order_becomes(card["id"], payment_status="money_refunded")
    assert len(stage.cards.card_of(payment).refunds) == 2
    history = (await stage.staff("GET", f"/orders/{card['id']}/history")).json["items"]
    assert [entry["what"] for entry in history[-3:]] == ["refund_failed", "payment_refunded", "refunded"]
    assert history[-3]["details"]["amount"] == 25_000


async def test_payment_rows_are_the_fold_of_their_log(stage: Stage) -> None:
    """Payment status is derived, never set by hand."""
    await stage.buy(status=ProviderStatus.HELD)
    async with stage.db.as_worker() as session:
        payments = list(await session.scalars(select(Payment)))
        log = list(await session.scalars(select(PaymentEvent).order_by(PaymentEvent.id)))
    assert payments
    for row in payments:
        known = PaymentState(id=row.id, provider=row.provider, asked=row.asked)
        for entry in (e for e in log if e.payment_id == row.id):
            seen = PaymentSeen(
                payment_id=row.id,
                stage=PaymentStage(entry.stage),
                amount=entry.amount,
                observed_at=entry.observed_at,
            )
            known = observe(known, seen)
        assert (known.stage, known.amount) == (row.stage, row.amount)
