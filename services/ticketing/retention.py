"""What ticketing forgets. Tickets, documents and orders stay, and so do the holds that became tickets."""

from __future__ import annotations

from chassis.retention import Rule
from services.ticketing.settings import Settings

ENDED = "hold.status IN ('released', 'annulled', 'expired')"
# Until then the statistics of the show count it, and its order may still be paid late.
ENDED_HOLDS = f"""
    {ENDED} AND hold.show_id IN (SELECT id FROM show WHERE show.starts_at < :before)
"""
MERE_HOLDS = f"""
    {ENDED} AND hold.placed_at < :before
    AND NOT EXISTS (SELECT FROM order_record WHERE order_record.id = hold.id)
"""


def rules(settings: Settings) -> list[Rule]:
    return [
        Rule("hold", settings.hold_days, ENDED_HOLDS),
        Rule("hold", settings.interest_days, MERE_HOLDS),
    ]
