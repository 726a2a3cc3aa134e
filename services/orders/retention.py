"""What orders forgets. Orders, their history, payments, refunds and the ledger are records of money: they stay."""

from __future__ import annotations

from chassis.retention import Rule
from services.orders.settings import Settings


def rules(settings: Settings) -> list[Rule]:
    return [Rule("webhook_events", settings.webhook_days, "received_at < :before")]
