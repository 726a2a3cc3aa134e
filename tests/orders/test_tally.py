"""The sums above the table and of the ledger: kept beside what they sum, and the same at every moment."""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.orders.desk.listing import Filters, totals
from services.orders.order.ledger import balances
from services.orders.order.tables import Order
from services.orders.order.tally import TallyChange, fold
from services.orders.payments.tables import LedgerEntry
from tests.harness import eventually
from tests.orders.stage import Stage


async def added_up(session: AsyncSession, organisation: UUID) -> list[tuple[str, str, int, int]]:
    rows = await session.execute(
        select(LedgerEntry.account, LedgerEntry.currency, func.count(), func.sum(LedgerEntry.amount))
        .where(LedgerEntry.organisation == organisation)
        .group_by(LedgerEntry.account, LedgerEntry.currency)
    )
    return sorted((account, currency, count, int(amount)) for account, currency, count, amount in rows)


async def agree(stage: Stage) -> int:
    """Holds the sums against their rows; returns how many orders there are."""
    async with stage.db.for_organisation(stage.organisation) as session:
        known = await totals(session, stage.organisation, Filters())
        ids = list(await session.scalars(select(Order.id)))
        assert known == await totals(session, stage.organisation, Filters(ids=ids))
        kept = await balances(session, stage.organisation)
        pairs = [(row["account"], row["balance"]["currency"], row["entries"], row["balance"]["minor"]) for row in kept]
        assert sorted(pairs) == await added_up(session, stage.organisation)
    return known.orders


async def test_sums_follow_whatever_becomes_of_orders_and_stay_exact_when_they_are_folded(stage: Stage) -> None:
    paid = await stage.buy()
    refunded = await stage.buy()
    assert (await stage.staff("POST", f"/orders/{refunded['id']}/cancel", json={"reason": "no time"})).status == 200
    await stage.order_becomes(refunded["id"], payment_status="money_refunded")
    left = stage.ticketing.hold(stage.organisation)
    assert (await stage.checkout(left)).status == 201
    card = await stage.card(left.hold_id)
    assert (await stage.staff("DELETE", f"/orders/{left.hold_id}", version=card["version"])).status == 204

    before = await eventually(partial(agree, stage))
    assert before >= 2
    async with stage.db.as_worker() as session:
        assert await session.scalar(select(func.count()).select_from(TallyChange))
    await fold(stage.db)
    assert await eventually(partial(agree, stage)) == before
    assert (await stage.card(paid["id"]))["stage"] == "paid"


async def test_folding_beside_writers_loses_and_doubles_nothing(stage: Stage) -> None:
    async def folds() -> None:
        while True:
            await fold(stage.db)

    folding = [asyncio.create_task(folds()) for _ in range(2)]
    try:
        await asyncio.gather(*(stage.buy() for _ in range(6)))
    finally:
        for task in folding:
            task.cancel()
        await asyncio.gather(*folding, return_exceptions=True)
    await eventually(partial(agree, stage))
