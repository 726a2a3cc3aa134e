"""What happens at the provider without the shop: refunds of its dashboard, disputes, and refunds that it refuses."""

from __future__ import annotations

from typing import Any

from contracts import orders
from services.orders.payments.provider import ProviderDisputeStatus, ProviderRefundStatus
from tests.harness import eventually
from tests.orders.stage import Stage

PRICE = 25_000
"""Of the order of `Stage.buy`: two seats."""


def payment_of(card: dict[str, Any]) -> str:
    return card["payments"][0]["payment_id"]  # type: ignore[no-any-return]


class TestDashboard:
    async def test_a_whole_refund_voids_the_tickets(self, stage: Stage) -> None:
        card = await stage.buy()
        stage.cards.refund_at_dashboard(payment_of(card), PRICE)
        for _ in range(2):
            assert (await stage.webhook(payment_of(card))).status == 200
        card = await stage.order_becomes(card["id"], stage="cancelled", payment_status="money_refunded")
        card = await eventually(lambda: _gone(stage, card["id"]))
        assert [(r["origin"], r["status"], r["amount"]["minor"]) for r in card["refunds"]] == [
            ("provider", "done", PRICE)
        ]
        assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}
        assert stage.cards.calls["refund"] == 0, "nothing may be given back twice"
        (told,) = await eventually(lambda: stage.ticketing.told(card["id"], orders.PaymentRefunded))
        assert (told.reason, told.amount.minor) == ("at_provider", PRICE)
        words = [e["what"] for e in (await stage.staff("GET", f"/orders/{card['id']}/history")).json["items"]]
        assert "payment_refunded" in words

    async def test_parts_leave_the_tickets_to_staff(self, stage: Stage) -> None:
        card = await stage.buy()
        for minor in (5_000, 7_500):
            stage.cards.refund_at_dashboard(payment_of(card), minor)
            await stage.webhook(payment_of(card))
        card = await stage.order_becomes(card["id"], stage="paid", payment_status="partially_refunded")
        assert (card["refunded"]["minor"], card["missing"]["minor"]) == (12_500, 12_500)
        assert all(line["state"] == "live" for line in card["lines"])
        assert await stage.ledger_is_zero() == {"buyer": 12_500, "cash": 12_500, "sales": -PRICE}

        first = card["lines"][0]["line_id"]
        await stage.staff("POST", f"/orders/{card['id']}/refunds", json={"line_ids": [first]})

        async def returned() -> dict[str, Any]:
            now = await stage.card(card["id"])
            assert now["lines"][0]["state"] == "gone", now["lines"]
            return now

        card = await eventually(returned)
        assert (card["stage"], card["missing"]["minor"], len(card["refunds"])) == ("paid", 0, 2)
        assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 12_500, "sales": -12_500}

    async def test_an_event_that_names_only_the_charge_is_matched(self, stage: Stage) -> None:
        """As Stripe's events of a hosted page do."""
        card = await stage.buy()
        stage.cards.refund_at_dashboard(payment_of(card), PRICE)
        stage.cards.pages["pi_of_the_page"] = stage.cards.card_of(payment_of(card)).reference
        answer = await stage.call(
            "POST",
            "/webhooks/sandbox",
            json={"id": "evt_charge", "reference": "pi_of_the_page", "kind": "charge.refunded"},
            headers={"x-signature": "test-signature"},
        )
        assert answer.json == {"outcomes": ["applied"]}
        await stage.order_becomes(card["id"], payment_status="money_refunded")


async def _gone(stage: Stage, order: str) -> dict[str, Any]:
    card = await stage.card(order)
    assert all(line["state"] == "gone" for line in card["lines"])
    return card


class TestDisputes:
    async def dispute(self, stage: Stage, card: dict[str, Any], status: ProviderDisputeStatus) -> None:
        stage.cards.dispute(payment_of(card), PRICE, status)
        assert (await stage.webhook(payment_of(card))).status == 200

    async def opened(self, stage: Stage) -> dict[str, Any]:
        card = await stage.buy()
        await self.dispute(stage, card, ProviderDisputeStatus.OPEN)
        card = await stage.order_becomes(card["id"], stage="paid", payment_status="money_received")
        assert card["disputed"]["minor"] == PRICE
        (dispute,) = card["payments"][0]["disputes"]
        assert (dispute["stage"], dispute["reason"]) == ("open", "fraudulent")
        assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "disputed": PRICE, "sales": -PRICE}
        (row,) = (await stage.staff("GET", "/orders?disputed=true")).json["items"]
        assert row["id"] == card["id"]
        (told,) = await eventually(lambda: stage.ticketing.told(card["id"], orders.PaymentDisputed))
        assert (told.amount.minor, told.reason) == (PRICE, "fraudulent")
        return card

    async def test_one_that_is_won_brings_the_money_back(self, stage: Stage) -> None:
        card = await self.opened(stage)
        await self.dispute(stage, card, ProviderDisputeStatus.WON)
        card = await stage.order_becomes(card["id"], stage="paid", payment_status="money_received")
        assert card["disputed"]["minor"] == 0
        assert (await stage.staff("GET", "/orders?disputed=true")).json["items"] == []
        assert await stage.ledger_is_zero() == {"buyer": 0, "cash": PRICE, "disputed": 0, "sales": -PRICE}

    async def test_one_that_is_lost_voids_the_tickets(self, stage: Stage) -> None:
        card = await self.opened(stage)
        await self.dispute(stage, card, ProviderDisputeStatus.LOST)
        await stage.order_becomes(card["id"], stage="cancelled", cancel_reason="dispute_lost")
        card = await eventually(lambda: _gone(stage, card["id"]))
        assert card["payment_status"] == "money_refunded"
        assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "disputed": 0, "sales": 0}
        assert stage.cards.calls["refund"] == 0
        (decided,) = await eventually(lambda: stage.ticketing.told(card["id"], orders.PaymentDisputeDecided))
        assert not decided.won

    async def test_nothing_is_refunded_while_a_bank_decides(self, stage: Stage) -> None:
        card = await self.opened(stage)
        await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})
        card = await eventually(lambda: _gone(stage, card["id"]))
        assert card["refunds"] == []
        await self.dispute(stage, card, ProviderDisputeStatus.WON)
        await stage.order_becomes(card["id"], payment_status="money_refunded")


class TestRefusedForGood:
    async def refused(self, stage: Stage) -> tuple[str, dict[str, Any]]:
        stage.cards.refund_status, stage.cards.refund_reason = ProviderRefundStatus.FAILED, "account_closed"
        card = await stage.buy()
        await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})

        async def known() -> dict[str, Any]:
            now = await stage.card(card["id"])
            assert [r["status"] for r in now["refunds"]] == ["refused"], now["refunds"]
            return now

        return card["id"], await eventually(known)

    async def test_staff_send_it_and_say_so(self, stage: Stage) -> None:
        order, card = await self.refused(stage)
        (refund,) = card["refunds"]
        assert (refund["reason"], refund["by_hand"], card["refund_due"]["minor"]) == ("account_closed", True, PRICE)
        assert "confirm-refund" in card["actions"]
        (row,) = (await stage.staff("GET", "/orders?refund_due=true")).json["items"]
        assert row["id"] == order
        (failed,) = await eventually(lambda: stage.ticketing.told(order, orders.PaymentRefundFailed))
        assert (failed.reason, failed.came_back) == ("account_closed", False)
        assert len(await eventually(lambda: stage.ticketing.told(order, orders.PaymentRefundDue))) == 1
        body = {"reference": "bank 1", "value_date": "2026-11-30"}
        confirmed = await stage.staff("POST", f"/orders/{order}/refunds/{refund['refund_id']}/confirm", json=body)
        assert confirmed.status == 200, confirmed
        (refund,) = confirmed.json["refunds"]
        assert (refund["status"], refund["reference"], refund["value_date"]) == ("done", "bank 1", "2026-11-30")
        assert confirmed.json["payment_status"] == "money_refunded"
        await stage.webhook(payment_of(card))
        assert (await stage.card(order))["refund_due"]["minor"] == 0, "the bank's old refusal changes nothing any more"
        assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}

    async def test_or_write_it_off(self, stage: Stage) -> None:
        order, card = await self.refused(stage)
        path = f"/orders/{order}/refunds/{card['refunds'][0]['refund_id']}/write-off"
        assert (await stage.staff("POST", path, json={})).status == 422
        written = await stage.staff("POST", path, json={"reason": "nobody answers"})
        assert written.status == 200, written
        (refund,) = written.json["refunds"]
        assert (refund["status"], refund["reason"]) == ("written_off", "nobody answers")
        assert written.json["refund_due"]["minor"] == 0
        assert await stage.ledger_is_zero() == {"buyer": 0, "cash": PRICE, "sales": 0, "written_off": -PRICE}
        assert (await stage.staff("POST", path, json={"reason": "again"})).status == 409

    async def test_a_refund_that_fails_days_later_is_owed_again(self, stage: Stage) -> None:
        card = await stage.buy()
        await stage.staff("POST", f"/orders/{card['id']}/refunds", json={})
        await stage.order_becomes(card["id"], payment_status="money_refunded")
        stage.cards.finish_refunds(payment_of(card), ProviderRefundStatus.FAILED, "account_closed")
        for _ in range(2):
            assert (await stage.webhook(payment_of(card))).status == 200
        card = await stage.order_becomes(card["id"], payment_status="money_received")
        assert (card["refund_due"]["minor"], card["refunds"][0]["status"]) == (PRICE, "refused")
        (failed,) = await eventually(lambda: stage.ticketing.told(card["id"], orders.PaymentRefundFailed))
        assert failed.came_back
        assert await stage.ledger_is_zero() == {"buyer": -PRICE, "cash": PRICE, "sales": 0}
