"""The secret of a mailed link to an account: the gateway asks for the letter and lets its reader in, notifications
writes it.

The event between them names the letter and says nothing that opens anything. The link is a signature over the letter's
id by a secret that only the two services share, made at the moment when the mail is written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import SecretStr, model_validator

from chassis.links import Links
from chassis.settings import SHORTEST_SECRET, DevelopmentDefault, ServiceSettings

KIND = "letter"
PLATFORM = UUID(int=0)
"""Whose letters these are: no organisation's."""
PAGE = "/auth/link"


class LetterSettings(ServiceSettings):
    """Of the two services that share the secret."""

    letter_secret: Annotated[SecretStr, DevelopmentDefault()] = SecretStr("development-only-letter-secret-32-byte")

    @model_validator(mode="after")
    def _refuse_a_short_secret(self) -> Self:
        if self.footlights_env == "production" and len(self.letter_secret.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"LETTER_SECRET needs at least {SHORTEST_SECRET} characters in production")
        return self


def token_of(settings: LetterSettings, letter_id: UUID, expires_at: datetime) -> str:
    """What the letter's link proves itself by, until it expires."""
    seconds = (expires_at - datetime.now(UTC)).total_seconds()
    return Links(settings.letter_secret).sign(KIND, letter_id, PLATFORM, ttl_seconds=seconds)


def link_of(settings: LetterSettings, letter_id: UUID, expires_at: datetime) -> str:
    """The address in the letter. The token stands in the query, which nobody logs."""
    return f"{settings.public_url.rstrip('/')}{PAGE}?token={token_of(settings, letter_id, expires_at)}"


def letter_of(settings: LetterSettings, token: str) -> UUID:
    """The letter that a token is of. Raises `Unauthorised` for a forged or expired one."""
    return Links(settings.letter_secret).verify(KIND, token).subject
