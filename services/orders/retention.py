"""What orders forgets. Orders, their history, payments, refunds and the ledger are records of money: they stay.

What was only a hold is none: seats that somebody looked at, and that ran out or were let go, without an order.
"""

from __future__ import annotations

from chassis.retention import Rule
from services.orders.settings import Settings

# A note makes it somebody's business.
MERE_HOLD = """
    orders.hold_released AND (orders.stage IS NULL OR orders.stage = 'interested') AND orders.created_at < :before
    AND NOT EXISTS (SELECT FROM notes WHERE notes.order_id = orders.id)
"""


def rules(settings: Settings) -> list[Rule]:
    of_mere_holds = f"order_id IN (SELECT id FROM orders WHERE {MERE_HOLD})"
    return [
        Rule("webhook_events", settings.webhook_days, "received_at < :before"),
        Rule("order_history", settings.interest_days, of_mere_holds),
        Rule("order_lines", settings.interest_days, of_mere_holds),
        Rule("searched", settings.interest_days, f"id IN (SELECT id FROM orders WHERE {MERE_HOLD})"),
        Rule("orders", settings.interest_days, f"{MERE_HOLD} AND {NOTHING_LEFT}"),
    ]


NOTHING_LEFT = """
    NOT EXISTS (SELECT FROM order_history WHERE order_history.order_id = orders.id)
    AND NOT EXISTS (SELECT FROM order_lines WHERE order_lines.order_id = orders.id)
    AND NOT EXISTS (SELECT FROM payments WHERE payments.order_id = orders.id)
"""
