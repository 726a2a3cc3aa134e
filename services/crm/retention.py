"""What CRM forgets: orders that never were more than seats which somebody looked at."""

from __future__ import annotations

from chassis.retention import Rule
from services.crm.settings import Settings


def rules(settings: Settings) -> list[Rule]:
    return [Rule("customer_order", settings.interest_days, "stage = 'interested' AND created_at < :before")]
