"""What the gateway forgets. Organisations, accounts and their roles stay."""

from __future__ import annotations

from chassis.retention import Rule
from services.gateway.settings import Settings


def rules(settings: Settings) -> list[Rule]:
    return [
        Rule("letter", 1, "expires_at < :before"),
        Rule("guess", 0, "until < :before"),
        Rule("sign_in_session", 0, "expires_at < :before"),
        Rule("api_key", settings.ended_key_days, "expires_at < :before"),
    ]
