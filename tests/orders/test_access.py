"""A buyer opens an order by its signed link, or signed in; nobody else does."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chassis import wall_clock
from contracts import orders
from contracts.accounts import Role
from services.orders.known import Organisation
from services.orders.measures import LedgerSum, count_stages
from services.orders.order.deadlines import measure
from tests.harness import eventually
from tests.orders.stage import Stage


async def test_the_signed_link_opens_one_order(stage: Stage) -> None:
    first, second = (stage.ticketing.hold(stage.organisation) for _ in range(2))
    key = (await stage.checkout(first)).json["order_key"]
    await stage.checkout(second)
    by_header = await stage.call("GET", f"/orders/{first.hold_id}", headers={"Order-Key": key})
    assert by_header.status == 200
    assert by_header.json["notes"] == []
    assert (await stage.call("GET", f"/orders/{first.hold_id}?key={key}")).status == 200
    assert (await stage.call("GET", f"/orders/{second.hold_id}?key={key}")).status == 401
    assert (await stage.call("GET", f"/orders/{first.hold_id}?key={key[:-3]}abc")).status == 401
    placed = await eventually(lambda: stage.ticketing.told(first.hold_id, orders.OrderPlaced))
    link = placed[0].order_url
    assert link.startswith(f"http://shop.test/api/orders/orders/{first.hold_id}?key=")
    assert (await stage.call("GET", link.removeprefix("http://shop.test/api/orders"))).status == 200


async def test_the_page_of_an_order(stage: Stage) -> None:
    await eventually(lambda: _organisation_known(stage))
    hold = stage.ticketing.hold(stage.organisation)
    answer = await stage.checkout(hold, customer={"name": "<script>alert(1)</script>", "email": "x@example.com"})
    key = answer.json["order_key"]
    as_browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = await stage.call("GET", f"/orders/{hold.hold_id}?key={key}", headers=as_browser)
    assert page.headers["content-type"].startswith("text/html")
    assert "Очікує оплату" in page.text
    assert "Партер, ряд 1, місце 1" in page.text
    on_the_wall = wall_clock.show(hold.until + timedelta(days=7), "Europe/Kyiv", "uk")
    assert f"<time>{on_the_wall}</time>" in unescape(page.text)
    assert "<script>" not in page.text
    assert "/pay?key=" in page.text
    to_card = await stage.call("GET", f"/orders/{hold.hold_id}/pay?key={key}")
    assert (to_card.status, to_card.headers["location"]) == (303, answer.json["payment"]["redirect_url"])
    stage.cards.pay(answer.json["payment"]["payment_id"])
    await stage.webhook(answer.json["payment"]["payment_id"])
    await stage.confirmed(hold.hold_id)
    page = await stage.call("GET", f"/orders/{hold.hold_id}?key={key}", headers=as_browser)
    assert f"http://tickets.test/documents/{hold.hold_id}" in page.text
    assert "/pay?key=" not in page.text


async def _organisation_known(stage: Stage) -> bool:
    async with stage.db.as_worker() as session:
        return await session.get(Organisation, stage.organisation) is not None


async def test_a_signed_in_buyer_sees_and_cancels_own_orders(stage: Stage) -> None:
    account = uuid4()
    mine = stage.tokens.headers(stage.tokens.buyer(account))
    hold = stage.ticketing.hold(stage.organisation)
    assert (await stage.checkout(hold, headers=mine)).status == 201
    await stage.checkout(stage.ticketing.hold(stage.organisation))
    listed = await stage.call("GET", "/my-orders", headers=mine)
    assert [row["id"] for row in listed.json["items"]] == [str(hold.hold_id)]
    assert (await stage.call("GET", f"/orders/{hold.hold_id}", headers=mine)).status == 200
    other = stage.tokens.headers(stage.tokens.buyer())
    assert (await stage.call("POST", f"/orders/{hold.hold_id}/cancel", headers=other)).status == 404
    cancelled = await stage.call("POST", f"/orders/{hold.hold_id}/cancel", headers=mine)
    assert (cancelled.json["stage"], cancelled.json["cancel_reason"]) == ("cancelled", "by_buyer")


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.SALES_MANAGER])
async def test_who_may_not_move_money_is_not_the_buyer_either(stage: Stage, role: Role) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    key = {"Order-Key": (await stage.checkout(hold)).json["order_key"]}
    headers = stage.as_staff(role)
    assert (await stage.call("GET", f"/orders/{hold.hold_id}", headers=headers)).status == 200
    for method, action in (("POST", "cancel"), ("POST", "payments"), ("GET", "pay")):
        answer = await stage.call(method, f"/orders/{hold.hold_id}/{action}", headers=headers)
        assert answer.status == 403, (action, answer)
    assert (await stage.card(hold.hold_id))["stage"] == "awaiting_payment"
    # With the buyer's own link they help the buyer, as anybody who has it.
    assert (await stage.call("POST", f"/orders/{hold.hold_id}/cancel", headers=headers | key)).status == 200


async def test_the_words_of_a_cancellation_decide_nothing(stage: Stage) -> None:
    """An order that expired still takes late money; one that was cancelled does not, whatever the buyer called it."""
    hold = stage.ticketing.hold(stage.organisation)
    answer = (await stage.checkout(hold)).json
    key = {"Order-Key": answer["order_key"]}
    cancelled = await stage.call("POST", f"/orders/{hold.hold_id}/cancel", json={"reason": "expired"}, headers=key)
    assert (cancelled.json["cancel_reason"], cancelled.json["cancel_note"]) == ("by_buyer", "expired")
    assert (await stage.staff("POST", f"/orders/{hold.hold_id}/mark-paid")).status == 409
    (told,) = await eventually(lambda: stage.ticketing.told(hold.hold_id, orders.OrderCancelled))
    assert told.reason == "expired"


async def test_who_works_in_one_theatre_is_a_buyer_in_another(stage: Stage) -> None:
    account = uuid4()
    employer = uuid4()
    for_work = stage.as_staff(Role.TICKET_DESK, organisation=employer, account=account)
    hold = stage.ticketing.hold(stage.organisation)
    assert (await stage.checkout(hold, headers=for_work)).status == 201
    listed = await stage.call("GET", "/my-orders", headers=for_work)
    assert [row["id"] for row in listed.json["items"]] == [str(hold.hold_id)]
    opened = await stage.call("GET", f"/orders/{hold.hold_id}", headers=for_work)
    assert (opened.status, opened.json["notes"]) == (200, [])
    assert (await stage.call("POST", f"/orders/{hold.hold_id}/payments", headers=for_work)).status == 201
    cancelled = await stage.call("POST", f"/orders/{hold.hold_id}/cancel", headers=for_work)
    assert (cancelled.status, cancelled.json["cancel_reason"]) == (200, "by_buyer")
    colleague = stage.as_staff(Role.TICKET_DESK, organisation=employer)
    assert (await stage.call("GET", f"/orders/{hold.hold_id}", headers=colleague)).status == 404


async def test_names_are_fixed_when_the_tickets_are_asked_for(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    stage.ticketing.silent.add(hold.hold_id)
    payment = (await stage.checkout(hold)).json["payment"]["payment_id"]
    stage.cards.pay(payment)
    await stage.webhook(payment)
    card = await stage.order_becomes(hold.hold_id, stage="paid")
    body = {"participants": [{"line_id": card["lines"][0]["line_id"], "name": "Хтось інший"}]}
    late = await stage.staff("PATCH", f"/orders/{hold.hold_id}", version=card["version"], json=body)
    assert (late.status, late.json["type"]) == (409, "/problems/not-possible-now")


async def test_an_order_stays_with_the_account_that_chose_the_seats(stage: Stage) -> None:
    mine = stage.tokens.headers(stage.tokens.buyer(uuid4()))
    hold = stage.ticketing.hold(stage.organisation)
    assert (await stage.checkout(hold, headers=mine)).status == 201
    assert (await stage.checkout(hold)).status == 201
    listed = await stage.call("GET", "/my-orders", headers=mine)
    assert [row["id"] for row in listed.json["items"]] == [str(hold.hold_id)]


async def test_a_buyer_cannot_cancel_what_is_paid(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    answer = (await stage.checkout(hold)).json
    stage.cards.pay(answer["payment"]["payment_id"])
    await stage.webhook(answer["payment"]["payment_id"])
    await stage.confirmed(hold.hold_id)
    refused = await stage.call("POST", f"/orders/{hold.hold_id}/cancel", headers={"Order-Key": answer["order_key"]})
    assert refused.status == 409


async def test_a_query_without_its_filter_returns_nothing(stage: Stage) -> None:
    """Row-level security stands behind the commands' own filters."""
    from sqlalchemy import text

    card = await stage.buy()
    tables = ("orders", "order_lines", "payments", "payment_events", "ledger", "order_history", "refunds")
    for organisation, expected in ((stage.organisation, True), (uuid4(), False), (None, False)):
        async with stage.db.for_organisation(organisation) as session:
            for table in tables[:-1]:
                count = await session.scalar(text(f"SELECT count(*) FROM {table}"))
                assert bool(count) is expected, (table, organisation)
    assert card["id"]


async def test_metrics_tell_of_states_payments_refunds_and_the_ledger(stage: Stage) -> None:
    await stage.buy()
    await measure(stage.db)
    await count_stages(stage.db)
    await LedgerSum().measure(stage.db)
    metrics = (await stage.call("GET", "/metrics")).text
    for name in (
        'orders_transitions_total{stage="paid"}',
        'orders_payments_total{stage="received"}',
        'orders_in_stage{stage="paid"}',
        "orders_refunds_waiting",
        "orders_overdue_seconds",
        "orders_paid_without_tickets",
        "orders_ledger_sum 0.0",
    ):
        assert name in metrics, name


async def test_logs_and_ledger_cannot_be_rewritten(stage: Stage) -> None:
    await stage.buy()
    for table in ("ledger", "payment_events", "order_history"):
        for statement in (f"UPDATE {table} SET at = now()", f"DELETE FROM {table}"):
            sql = statement.replace("SET at", "SET recorded_at") if table == "payment_events" else statement
            with pytest.raises(DBAPIError, match="append-only"):
                async with stage.db.as_worker() as session:
                    await session.execute(text(sql))
    rewritten = (
        ("order_history", "details = '{\"amount\": 1}'"),
        ("order_history", "actor = 'somebody'"),
        ("order_history", "details = '{}', what = 'paid'"),
        ("payment_events", "reason = 'another'"),
        ("payment_events", "reason = NULL, amount = 1"),
    )
    for table, change in rewritten:
        with pytest.raises(DBAPIError, match="append-only"):
            async with stage.db.as_worker() as session:
                await session.execute(text(f"UPDATE {table} SET {change}"))
    async with stage.db.as_worker() as session:
        # Who stands in them may be taken out.
        await session.execute(text("UPDATE order_history SET details = '{}', actor = ''"))
        await session.execute(text("UPDATE payment_events SET reason = NULL"))
    lopsided = """
        INSERT INTO ledger (transaction_id, organisation, order_id, account, amount, currency, why)
        SELECT gen_random_uuid(), organisation, id, 'cash', 1, 'UAH', 'by mistake' FROM orders LIMIT 1
    """
    with pytest.raises(DBAPIError, match="add up to zero"):
        async with stage.db.as_worker() as session:
            await session.execute(text(lopsided))


async def test_staff_see_no_account_but_beside_an_order_of_theirs(stage: Stage) -> None:
    mine, stranger = f"{uuid4().hex}@example.com", f"{uuid4().hex}@example.com"
    add = text("INSERT INTO accounts (id, email, name, version) VALUES (:id, :email, 'N', 1)")
    async with stage.db.as_worker() as session:
        for email in (mine, stranger):
            await session.execute(add, {"id": uuid4(), "email": email})
    hold = stage.ticketing.hold(stage.organisation)
    await stage.checkout(hold, customer={"name": "N", "email": mine})
    every = text("SELECT email FROM accounts WHERE email IN (:mine, :stranger)")
    for organisation, seen in ((stage.organisation, [mine]), (uuid4(), []), (None, [])):
        async with stage.db.for_organisation(organisation) as session:
            assert list(await session.scalars(every, {"mine": mine, "stranger": stranger})) == seen
