"""The double-entry ledger of all money: every posting is two entries that add up to zero, and none is ever changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.orders.order.tables import Order
from services.orders.order.tally import Subject, sums
from services.orders.payments.tables import LedgerEntry
from services.orders.process.commands import Post


async def post(session: AsyncSession, order: Order, posting: Post) -> None:
    transaction = uuid7()
    entry = {
        "transaction_id": transaction,
        "organisation": order.organisation,
        "order_id": order.id,
        "payment_id": posting.payment,
        "currency": order.currency,
        "why": posting.why,
    }
    await session.execute(
        insert(LedgerEntry),
        [
            {**entry, "account": posting.debit.value, "amount": posting.amount},
            {**entry, "account": posting.credit.value, "amount": -posting.amount},
        ],
    )


async def balances(session: AsyncSession, organisation: UUID) -> list[dict[str, Any]]:
    """The balance of each account and currency of an organisation, in minor units; a debit is positive."""
    return [
        {"account": kept.name, "balance": {"minor": kept.amount, "currency": kept.currency}, "entries": kept.entries}
        for kept in await sums(session, organisation, Subject.ACCOUNT)
    ]
