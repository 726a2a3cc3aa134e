"""What only the databases and the bank know: what is under way, and whether money and seats are the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import asyncpg

from chassis import dead_letters
from contracts.topics import CONSUMER_GROUPS
from deploy.platform import Platform

UNDER_WAY = {
    "orders": {
        "orders that await payment": "SELECT count(*) FROM orders WHERE stage = 'awaiting_payment'",
        "paid orders without tickets": "SELECT count(*) FROM orders WHERE stage = 'paid' AND delivery <> 'issued'",
        "lines whose tickets are to be void": "SELECT count(*) FROM order_lines WHERE state = 'leaving'",
        "refunds not done": "SELECT count(*) FROM refunds WHERE stage = 'pending'",
        "calls wanted of the bank": "SELECT count(*) FROM payments WHERE wanted IS NOT NULL",
        "money that is only held": "SELECT count(*) FROM payments WHERE stage = 'held'",
    },
    "ticketing": {"holds": "SELECT count(*) FROM hold WHERE status = 'active'"},
    "notifications": {
        "messages due": "SELECT count(*) FROM message WHERE status IN ('pending', 'sending') AND due_at <= now()"
    },
}
"""Must come to nothing by itself."""
OUTBOXES = ("outbox", "outbox_failed")

SOLD_TWICE = """
    SELECT count(*) FROM (
        SELECT show_id, seat FROM ticket WHERE voided_at IS NULL GROUP BY show_id, seat HAVING count(*) > 1
    ) AS twice
"""
LIVING_TICKETS = "SELECT order_id, seat FROM ticket WHERE voided_at IS NULL"
LIVE_LINES = """
    SELECT order_id, reference FROM order_lines JOIN orders ON orders.id = order_id
    WHERE order_lines.state = 'live' AND orders.sold
"""
LEDGER = "SELECT transaction_id FROM ledger GROUP BY transaction_id HAVING sum(amount) <> 0"
ACCOUNTS = "SELECT account, sum(amount)::bigint AS balance FROM ledger GROUP BY account"
SALES = """
    SELECT coalesce(sum(order_lines.total), 0)::bigint FROM order_lines JOIN orders ON orders.id = order_id
    WHERE order_lines.state = 'live' AND orders.sold
"""
PAYMENTS = """
    SELECT id, order_id, provider, reference, stage, amount,
           (SELECT coalesce(sum(amount), 0)::bigint FROM refunds WHERE payment_id = payments.id
            AND refunds.stage IN ('done', 'sent')) AS refunded
    FROM payments
"""


TAMPERINGS = {
    "a ticket that was voided behind everybody's back": (
        "ticketing",
        "UPDATE ticket SET voided_at = now() WHERE id = (SELECT id FROM ticket WHERE voided_at IS NULL LIMIT 1)",
    ),
    "a ticket of another order": (
        "ticketing",
        """
        UPDATE ticket SET order_id = (SELECT id FROM order_record WHERE id <> ticket.order_id LIMIT 1)
        WHERE id = (SELECT id FROM ticket WHERE voided_at IS NULL LIMIT 1)
        """,
    ),
    "seats that are never given up": (
        "ticketing",
        "UPDATE hold SET status = 'active' WHERE id = (SELECT id FROM hold LIMIT 1)",
    ),
    "half a posting": (
        "orders",
        """
        INSERT INTO ledger (transaction_id, organisation, order_id, account, amount, currency, why)
        SELECT gen_random_uuid(), organisation, order_id, account, 1, currency, why FROM ledger LIMIT 1
        """,
    ),
    "money that never came": (
        "orders",
        "UPDATE payments SET amount = amount + 1 WHERE id = (SELECT id FROM payments WHERE stage = 'received' LIMIT 1)",
    ),
    "a refund that the bank has not made": (
        "orders",
        "UPDATE refunds SET amount = amount + 1 WHERE id = (SELECT id FROM refunds WHERE stage = 'done' LIMIT 1)",
    ),
    "an event that never leaves": (
        "crm",
        "INSERT INTO outbox (topic, key, value, headers) VALUES ('crm.customer', '', '', '[]')",
    ),
    "a mail that never leaves": (
        "notifications",
        """
        UPDATE message SET due_at = now()
        WHERE message_id = (SELECT message_id FROM message WHERE status = 'pending' LIMIT 1)
        """,
    ),
}
"""What the books must notice, by service and as a statement that does it to one row."""


class Books:
    """A connection to each database, and one to the bank, which survive nothing: open them when all parts are back."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._stack = AsyncExitStack()
        self._databases: dict[str, asyncpg.Connection] = {}

    async def __aenter__(self) -> Books:
        for service, urls in self._platform.databases.items():
            self._databases[service] = await asyncpg.connect(urls.worker)
            self._stack.push_async_callback(self._databases[service].close)
        key = self._platform.home.secrets()["SANDBOX_API_KEY"]
        self._bank = await self._stack.enter_async_context(
            aiohttp.ClientSession(self._platform.urls["sandbox"], headers={"Authorization": f"Bearer {key}"})
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def under_way(self) -> list[str]:
        """What must still come to an end."""
        left = []
        for service, database in self._databases.items():
            counts = {f"rows in {table}": f"SELECT count(*) FROM {table}" for table in OUTBOXES}
            for what, query in (counts | UNDER_WAY.get(service, {})).items():
                if count := await database.fetchval(query):
                    left.append(f"{service}: {count} {what}")
        return left

    async def disagreements(self) -> list[str]:
        """Where seats or money are not the same in two places. Meaningful once nothing is under way."""
        orders, ticketing = self._databases["orders"], self._databases["ticketing"]
        wrong = []
        if twice := await ticketing.fetchval(SOLD_TWICE):
            wrong.append(f"{twice} seats were sold twice")
        tickets = {tuple(row) for row in await ticketing.fetch(LIVING_TICKETS)}
        lines = {tuple(row) for row in await orders.fetch(LIVE_LINES)}
        wrong += [f"order {order}: seat {seat} is paid without a ticket" for order, seat in lines - tickets]
        wrong += [f"order {order}: the ticket for {seat} is not paid" for order, seat in tickets - lines]
        wrong += [f"transaction {row[0]} of the ledger is not balanced" for row in await orders.fetch(LEDGER)]
        payments = await orders.fetch(PAYMENTS)
        balances: dict[str, int] = dict(await orders.fetch(ACCOUNTS))
        received = sum(row["amount"] - row["refunded"] for row in payments if row["stage"] == "received")
        expected = {"cash": received, "sales": -await orders.fetchval(SALES), "held": 0, "buyer": 0}
        for account, amount in expected.items():
            if balances.get(account, 0) != amount:
                wrong.append(f"account {account} of the ledger: {balances.get(account, 0)} instead of {amount}")
        for payment in payments:
            if payment["provider"] == "sandbox":
                wrong += await self._at_the_bank(payment)
        return wrong

    async def unnoticed(self) -> list[str]:
        """The control: what is done to the databases, and undone at once, without anybody seeing it here."""
        unseen = []
        for what, (service, statement) in TAMPERINGS.items():
            tampering = self._databases[service].transaction()
            await tampering.start()
            try:
                done = await self._databases[service].execute(statement)
                if not done.endswith(" 1") or not (await self.under_way() or await self.disagreements()):
                    unseen.append(f"{what} ({done})")
            finally:
                await tampering.rollback()
        return unseen

    async def _at_the_bank(self, payment: Mapping[str, Any]) -> list[str]:
        if payment["reference"] is None:
            return [f"order {payment['order_id']}: the bank was never asked for a card page"]
        async with self._bank.get(f"/v1/payments/{payment['reference']}") as answer:
            there = await answer.json()
        taken = payment["amount"] if payment["stage"] == "received" else 0
        ours, theirs = (taken, payment["refunded"]), (there["captured"], there["refunded"])
        if ours == theirs and there["status"] != "held":
            return []
        return [
            f"order {payment['order_id']}: {payment['stage']}, received and refunded {ours},"
            f" but at the bank {there['status']}, {theirs}"
        ]

    async def dead(self) -> list[str]:
        """Every dead letter."""
        found = []
        for group in CONSUMER_GROUPS:
            letters = dead_letters.read(group, self._platform.kafka_bootstrap_servers)
            found += [f"dead letter of {group}: {letter.reason}" async for letter in letters]
        return found
