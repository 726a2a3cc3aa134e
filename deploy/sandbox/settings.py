"""Settings of the sandbox process, from environment variables `SANDBOX_...`."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class SandboxSettings(BaseSettings):
    """Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_", extra="ignore", env_ignore_empty=True)

    home: Path | None = None
    """Folder of the SQLite file; without it everything lives in memory and is gone after a restart."""
    api_key: SecretStr = SecretStr("development-only-sandbox-key")
    webhook_secret: SecretStr = SecretStr("whsec_ZGV2ZWxvcG1lbnQtb25seS1zYW5kYm94LXNlY3JldCE=")
    """`whsec_` and base64 as in Standard Webhooks; any other text is taken as the key itself."""
    public_url: str = ""
    """Where browsers reach the card page; the address of the request when empty."""

    page_seconds: float = 24 * 3600
    """How long a card page stays open unless the shop asks otherwise."""
    hold_seconds: float = 7 * 24 * 3600
    """How long money stays authorised before the bank lets it go."""
    short_hold_seconds: float = 10
    """The same for the test card whose hold expires."""
    refund_seconds: float = 1
    """How long the asynchronous refunds of two test cards take."""

    webhook_timeout: float = 10
    webhook_first_retry: float = 0.5
    webhook_longest_retry: float = 60
    webhook_attempts: int = 15
