"""What notifications forgets. The message itself stays: that there is one is what keeps it from going out twice."""

from __future__ import annotations

from chassis.retention import Rule
from services.notifications.settings import Settings

BODIES = "finished_at < :before AND params <> '{}'::jsonb"
# Links in it open orders and tickets. How many documents it carried is counted (`with_document`).
WITHOUT_BODY = "params = '{}', documents = array_fill(''::text, ARRAY[cardinality(documents)])"
ENDED_ATTEMPTS = "started_at < :before AND ended_at IS NOT NULL"


def rules(settings: Settings) -> list[Rule]:
    return [
        Rule("message", settings.body_days, BODIES, erase=WITHOUT_BODY),
        Rule("suppression", settings.suppression_days, "since < :before"),
        Rule("attempt", settings.delivery_log_days, ENDED_ATTEMPTS),
    ]
