"""Gauges over whole tables, and what orders forgets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import asyncpg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from chassis.retention import forget
from contracts import orders, ticketing
from services.orders import measures, metrics, retention
from services.orders.measures import LedgerSum, count_stages
from services.orders.payments.tables import LedgerEntry, WebhookEvent
from services.orders.settings import Settings
from tests.harness import Postgres, eventually
from tests.orders.stage import Stage


@asynccontextmanager
async def half_a_posting(superuser: str) -> AsyncIterator[None]:
    """An entry without its other half, which the database refuses everybody else."""
    connection = await asyncpg.connect(superuser)
    await connection.execute("SET session_replication_role = replica")
    made = await connection.fetchval("""
        INSERT INTO ledger (transaction_id, organisation, order_id, account, amount, currency, why)
        SELECT transaction_id, organisation, order_id, account, 700, currency, why FROM ledger LIMIT 1 RETURNING id
    """)
    try:
        yield
    finally:
        await connection.execute("DELETE FROM ledger WHERE id = $1", made)
        await connection.close()


async def test_the_ledger_is_summed_in_slices_and_then_only_what_is_new(
    stage: Stage, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "SETTLED", timedelta(0))
    await stage.buy()
    await stage.buy()
    ledger = LedgerSum(slice_size=1)
    metrics.LEDGER_SUM.set(-1)
    slices = 0
    while await ledger.measure(stage.db):
        slices += 1
        assert metrics.LEDGER_SUM._value.get() == -1, "not told before it is known"
    assert slices > 2
    assert metrics.LEDGER_SUM._value.get() == 0
    async with half_a_posting(postgres.url(stage.settings.database_url.rpartition("/")[2])):
        while await ledger.measure(stage.db):
            pass
        assert metrics.LEDGER_SUM._value.get() == 700
    await LedgerSum().measure(stage.db)


async def test_a_replica_that_does_not_know_the_sum_does_not_say_that_it_balances(stage: Stage) -> None:
    await LedgerSum().measure(stage.db)
    assert "orders_ledger_sum 0.0" in (await stage.call("GET", "/metrics")).text
    metrics.unsay()
    assert "orders_ledger_sum NaN" in (await stage.call("GET", "/metrics")).text


async def test_stages_are_counted_by_one_replica_and_unsaid_by_the_last_one(stage: Stage) -> None:
    await stage.buy()
    await count_stages(stage.db)
    assert 'orders_in_stage{stage="paid"}' in (await stage.call("GET", "/metrics")).text
    metrics.unsay()
    assert "orders_in_stage{" not in (await stage.call("GET", "/metrics")).text


async def test_ids_of_webhooks_are_forgotten_in_time_and_money_is_not(stage: Stage) -> None:
    await stage.buy()
    old, young = ({"provider": "fake", "event_id": name, "reference": "r", "kind": "k"} for name in ("old", "young"))
    async with stage.db.as_worker() as session:
        session.add_all([WebhookEvent(**old), WebhookEvent(**young)])
        await session.flush()
        await session.execute(
            text("UPDATE webhook_events SET received_at = now() - interval '91 days' WHERE event_id = 'old'")
        )
    rule = next(rule for rule in retention.rules(Settings()) if rule.table == "webhook_events")
    assert [await forget(stage.db, rule), await forget(stage.db, rule)] == [1, 0]
    async with stage.db.as_worker() as session:
        left = set(await session.scalars(select(WebhookEvent.event_id)))
        assert "young" in left
        assert "old" not in left
        assert await session.scalar(select(LedgerEntry.id).limit(1)) is not None


async def test_what_was_only_a_hold_is_forgotten_in_time_and_nothing_else(stage: Stage) -> None:
    """With its lines and history. Whose history it is, the database asks itself."""
    mere, noted, young, ordered = (stage.ticketing.hold(stage.organisation) for _ in range(4))
    for hold in (mere, noted, young):
        await stage.ticketing.publish(hold.placed, stage.organisation)
        lapsed = ticketing.HoldLapsed(hold_id=hold.hold_id, show_id=hold.show_id, currency="UAH")
        await stage.ticketing.publish(lapsed, stage.organisation)
    for hold in (mere, noted, young):
        await eventually(partial(stage.ticketing.told, hold.hold_id, orders.SeatsUnclaimed))
    await stage.checkout(ordered)
    version = (await stage.card(noted.hold_id))["version"]
    note = await stage.staff("POST", f"/orders/{noted.hold_id}/notes", json={"text": "calls again"}, version=version)
    assert note.status < 300, note
    old = [hold.hold_id for hold in (mere, noted, ordered)]
    async with stage.db.as_worker() as session:
        aged = text("UPDATE orders SET created_at = now() - interval '91 days' WHERE id = ANY(:ids)")
        await session.execute(aged, {"ids": old})
    for rule in retention.rules(Settings()):
        while await forget(stage.db, rule):
            pass
    async with stage.db.as_worker() as session:
        known = text("SELECT id FROM orders WHERE id = ANY(:ids)")
        left = set(await session.scalars(known, {"ids": [*old, young.hold_id]}))
        assert left == {noted.hold_id, young.hold_id, ordered.hold_id}
        parts = text("SELECT count(*) FROM order_history WHERE order_id = :id")
        assert await session.scalar(parts, {"id": mere.hold_id}) == 0
        assert await session.scalar(parts, {"id": ordered.hold_id})
        with pytest.raises(DBAPIError, match="append-only"):
            await session.execute(text("DELETE FROM order_history WHERE order_id = :id"), {"id": ordered.hold_id})
        await session.rollback()
