"""What happens at the card provider without the theatre: staff see it, and tickets and money follow."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.settings import SandboxSettings
from tests.flows.house import House, Order, uah
from tests.harness import eventually

REFUSES_REFUNDS = "refund_fails"


async def at_the_bank(order: Order, path: str, body: dict[str, Any] | None = None) -> Any:
    """As a clerk of the theatre at the provider's dashboard, or a bank, would do it."""
    address, _, payment = order.card_page.partition("/pay/")
    headers = {"Authorization": f"Bearer {SandboxSettings().api_key.get_secret_value()}"}
    http = order.house.platform.http
    async with http.post(f"{address}/v1/payments/{payment}{path}", json=body or {}, headers=headers) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json()


async def test_a_refund_of_the_dashboard_ends_the_order(house: House) -> None:
    order = await house.bought(house.person("Олена Пчілка"), "1-1", "1-2")
    await at_the_bank(order, "/refunds")
    card = await order.becomes(stage="cancelled", payment_status="money_refunded", refunded=uah(50_000))
    assert [refund["origin"] for refund in card["refunds"]] == ["provider"]

    async def void() -> bool:
        return all(ticket["voided_at"] for ticket in await order.tickets())

    await eventually(void, timeout=30)
    await house.hall_shows({})
    assert "payment_refunded" in await order.history()


async def test_a_dispute_is_shown_until_it_is_lost(house: House) -> None:
    order = await house.bought(house.person("Олена Пчілка"), "1-1")
    dispute = await at_the_bank(order, "/disputes")
    await order.becomes(stage="paid", disputed=uah(25_000))
    (row,) = await house.orders("disputed=true")
    assert row["id"] == order.id
    await at_the_bank(order, f"/disputes/{dispute['id']}/decide", {"won": False})
    await order.becomes(stage="cancelled", disputed=uah(0), cancel_reason="dispute_lost")
    await house.hall_shows({})


async def test_what_the_bank_refuses_for_good_is_sent_otherwise(house: House) -> None:
    order = await house.hold(house.person("Михайло"), "1-1")
    await order.check_out()
    async with house.platform.http.post(order.card_page, data={"card": REFUSES_REFUNDS}, allow_redirects=False) as paid:
        assert paid.status == 303, await paid.text()
    await order.ticketed()
    await house.desk.post(f"{order.path}/refunds", {})
    card = await order.becomes(refund_due=uah(25_000))
    (row,) = await house.orders("refund_due=true")
    assert row["id"] == order.id
    (refund,) = card["refunds"]
    assert (refund["status"], refund["reason"]) == ("refused", "account_closed")
    path = f"{order.path}/refunds/{refund['refund_id']}/confirm"
    await house.desk.post(path, {"reference": "bank 1", "value_date": "2026-11-30"})
    await order.becomes(refund_due=uah(0), payment_status="money_refunded")
