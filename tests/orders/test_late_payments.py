"""Money that comes late, twice, or after staff have settled the order otherwise."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from contracts import orders, ticketing
from services.orders.order.deadlines import PATIENCE
from services.orders.payments.provider import ProviderError, ProviderPayment, ProviderRefundStatus, ProviderStatus
from tests.harness import eventually
from tests.orders.placing import pass_deadline, placed
from tests.orders.stage import Stage

FAR = datetime(2097, 1, 1, tzinfo=UTC)


async def test_two_payments_at_once_give_one_sale_and_the_surplus_back(stage: Stage) -> None:
    hold, first, key = await placed(stage)
    second = (await stage.call("POST", f"/orders/{hold.hold_id}/payments", headers=key)).json["payment_id"]
    stage.cards.pay(first)
    stage.cards.pay(second)
    stage.cards.refund_status = ProviderRefundStatus.PENDING
    await asyncio.gather(stage.webhook(first), stage.webhook(second))
    await stage.order_becomes(hold.hold_id, overpaid=True)
    surplus = [card for card in stage.cards.cards.values() if card.asked.order_id == hold.hold_id]
    payment = await eventually(lambda: next((str(card.asked.payment_id) for card in surplus if card.refunds), None))
    stage.cards.finish_refunds(payment, ProviderRefundStatus.DONE)
    await stage.webhook(payment)
    card = await stage.order_becomes(hold.hold_id, overpaid=False, refunded={"minor": 25_000, "currency": "UAH"})
    assert card["stage"] == "paid"
    assert card["payment_status"] == "money_received"
    await stage.confirmed(hold.hold_id)
    refunds = [len(card.refunds) for card in stage.cards.cards.values() if card.asked.order_id == hold.hold_id]
    assert sorted(refunds) == [0, 1]
    types = stage.ticketing.types(hold.hold_id)
    assert types.count("order.paid") == 1
    assert "order.refunded" not in types
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 25_000, "sales": -25_000}


async def test_staff_give_an_order_more_time(stage: Stage) -> None:
    """TKT-20 of a booking that is ordered: the seats are kept longer, and so is the order."""
    hold, _, _ = await placed(stage)
    later = datetime.now(UTC) + timedelta(days=1)
    extended = ticketing.HoldExtended(hold_id=hold.hold_id, show_id=hold.show_id, expires_at=later, pay_by=later)
    await stage.ticketing.publish(extended, stage.organisation)
    await eventually(lambda: stage.ticketing.told(hold.hold_id, orders.OrderChanged))
    card = await stage.card(hold.hold_id)
    assert (card["stage"], datetime.fromisoformat(card["pay_by"])) == ("awaiting_payment", later)


async def test_money_given_in_time_counts_however_late_we_hear_of_it(stage: Stage) -> None:
    """The webhook is lost, and the provider is away when the time is over."""
    hold, payment, _ = await placed(stage)
    stage.cards.pay(payment)
    stage.cards.failing["fetch"] = ProviderError("away", retryable=True)
    await pass_deadline(stage, hold)
    before = stage.cards.calls["fetch"]
    await eventually(lambda: stage.cards.calls["fetch"] > before + 2)
    assert (await stage.card(hold.hold_id))["stage"] == "awaiting_payment"
    stage.cards.failing.clear()
    await stage.confirmed(hold.hold_id)
    assert "order.expired" not in stage.ticketing.types(hold.hold_id)


async def test_an_order_does_not_wait_for_ever_for_a_provider_that_is_away(stage: Stage) -> None:
    hold, _, _ = await placed(stage)
    stage.cards.failing["fetch"] = ProviderError("away", retryable=True)
    await pass_deadline(stage, hold, ago=PATIENCE)
    await stage.order_becomes(hold.hold_id, stage="cancelled", cancel_reason="expired")


async def test_a_hold_that_has_lapsed_cannot_be_checked_out_and_ticketing_is_told(stage: Stage) -> None:
    """Heard of before, or never; checkout and the question meet under the order's lock, and the first one counts."""
    heard, unheard, ordered = (stage.ticketing.hold(stage.organisation) for _ in range(3))
    await stage.ticketing.publish(heard.placed, stage.organisation)
    assert (await stage.checkout(ordered)).status == 201
    for hold in (ordered, heard, unheard):
        lapsed = ticketing.HoldLapsed(hold_id=hold.hold_id, show_id=hold.show_id, currency="UAH")
        await stage.ticketing.publish(lapsed, stage.organisation)
    for hold in (heard, unheard):
        (told,) = await eventually(partial(stage.ticketing.told, hold.hold_id, orders.SeatsUnclaimed))
        assert told.show_id == hold.show_id
        refused = await stage.checkout(hold)
        assert (refused.status, refused.json["type"]) == (409, "/problems/hold-over")
    after = ticketing.HoldExtended(hold_id=ordered.hold_id, show_id=ordered.show_id, expires_at=FAR, pay_by=FAR)
    await stage.ticketing.publish(after, stage.organisation)
    await eventually(lambda: stage.ticketing.told(ordered.hold_id, orders.OrderChanged))
    assert not stage.ticketing.told(ordered.hold_id, orders.SeatsUnclaimed)


async def test_payment_after_expiry_gets_the_same_seats(stage: Stage) -> None:
    hold, payment, key = await placed(stage)
    await pass_deadline(stage, hold)
    await stage.order_becomes(hold.hold_id, stage="cancelled", cancel_reason="expired")
    refused = await stage.call("POST", f"/orders/{hold.hold_id}/payments", headers=key)
    assert (refused.status, refused.json["type"]) == (409, "/problems/not-possible-now")
    stage.cards.pay(payment)
    await stage.webhook(payment)
    card = await stage.confirmed(hold.hold_id)
    assert card["cancelled_at"] < card["paid_at"], "GAP-2: a date already set is never lost"
    types = [kind for kind in stage.ticketing.types(hold.hold_id) if kind.startswith("order.")]
    assert types[:3] == ["order.placed", "order.expired", "order.paid"]


async def test_payment_after_expiry_is_refunded_when_the_seats_are_gone(stage: Stage) -> None:
    hold, payment, _ = await placed(stage)
    stage.ticketing.refusing.add(hold.hold_id)
    await pass_deadline(stage, hold)
    await stage.order_becomes(hold.hold_id, stage="cancelled")
    stage.cards.pay(payment)
    await stage.webhook(payment)
    card = await stage.order_becomes(hold.hold_id, stage="cancelled", payment_status="money_refunded")
    assert card["cancel_reason"] == "seats_unavailable"
    (refunded,) = await eventually(lambda: stage.ticketing.told(hold.hold_id, orders.OrderRefunded))
    assert refunded.full
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}


async def test_a_hold_without_tickets_is_voided_and_never_captured(stage: Stage) -> None:
    hold, payment, _ = await placed(stage)
    stage.ticketing.refusing.add(hold.hold_id)
    stage.cards.pay(payment, ProviderStatus.HELD)
    await stage.webhook(payment)
    await stage.order_becomes(hold.hold_id, stage="cancelled", payment_status="not_paid")
    await eventually(lambda: stage.cards.card_of(payment).status is ProviderStatus.CANCELLED)
    assert stage.cards.calls["capture"] == stage.cards.calls["refund"] == 0
    await stage.ledger_is_zero()


async def test_marking_paid_closes_the_card_page(stage: Stage) -> None:
    hold, payment, _ = await placed(stage)
    answer = await stage.staff("POST", f"/orders/{hold.hold_id}/mark-paid")
    assert answer.status == 200, answer
    assert stage.cards.card_of(payment).status is ProviderStatus.CANCELLED
    await stage.confirmed(hold.hold_id)
    assert len(stage.ticketing.told(hold.hold_id, orders.OrderPaid)) == 1


async def test_a_card_that_succeeds_after_marking_paid_is_overpaid_and_refunded(stage: Stage) -> None:
    """Guidance E, trap 2: one set of tickets, and the card's money goes back."""
    hold, payment, _ = await placed(stage)
    stage.cards.failing["cancel"] = ProviderError("away", retryable=True)
    assert (await stage.staff("POST", f"/orders/{hold.hold_id}/mark-paid")).status == 200
    stage.cards.pay(payment)
    await stage.webhook(payment)
    stage.cards.failing.clear()
    card = await stage.order_becomes(hold.hold_id, overpaid=False, refunded={"minor": 25_000, "currency": "UAH"})
    assert card["payment_status"] == "money_received"
    assert len(stage.cards.card_of(payment).refunds) == 1
    assert len(stage.ticketing.told(hold.hold_id, orders.OrderPaid)) == 1


async def test_marking_paid_what_the_buyer_has_just_paid_is_refused(stage: Stage) -> None:
    hold, payment, _ = await placed(stage)
    stage.cards.pay(payment)
    answer = await stage.staff("POST", f"/orders/{hold.hold_id}/mark-paid")
    assert answer.status == 409
    card = await stage.confirmed(hold.hold_id)
    assert [p["payment_system"] for p in card["payments"]] == ["sandbox"]


async def test_marking_paid_while_the_bank_holds_the_money_keeps_the_order(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold must not pay the order in the moment in which it is let go: then its tickets would be void."""
    hold, payment, _ = await placed(stage)
    cancel = stage.cards.cancel

    async def held_meanwhile(reference: str, key: str) -> ProviderPayment:
        if stage.cards.card_of(payment).status is ProviderStatus.PENDING:
            stage.cards.pay(payment, ProviderStatus.HELD)
            await stage.webhook(payment)
        return await cancel(reference, key)

    monkeypatch.setattr(stage.cards, "cancel", held_meanwhile)
    answer = await stage.staff("POST", f"/orders/{hold.hold_id}/mark-paid")
    assert answer.status == 200, answer
    card = await stage.confirmed(hold.hold_id)
    assert card["stage"] == "paid"
    await eventually(lambda: stage.cards.card_of(payment).status is ProviderStatus.CANCELLED)
    await stage.ledger_is_zero()
    assert stage.ticketing.told(hold.hold_id, orders.TicketsRevoked) == []
