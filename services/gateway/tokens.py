"""The short-lived tokens that services trust, and the keys that are published for them (`TOKEN_PUBLISHED_KEYS`)."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chassis.edge import AUDIENCE, ISSUER
from chassis.keys import Signer
from contracts.accounts import Role
from services.gateway.settings import Settings


class Tokens:
    """Signs tokens with the active key."""

    def __init__(self, settings: Settings) -> None:
        self.seconds = settings.token_seconds
        self._signer = Signer(_private_pem(settings), ISSUER, settings.token_published_keys)

    def sign(self, claims: dict[str, Any], *, network: str, ttl_seconds: float | None = None) -> str:
        """A token of `claims` (none: somebody who is not signed in) for requests from a network. About 40 us; the
        caller keeps it until shortly before it expires."""
        return self._signer.sign({**claims, "net": network}, ttl_seconds=ttl_seconds or self.seconds, audience=AUDIENCE)

    def jwks(self) -> dict[str, Any]:
        return self._signer.jwks()


def claims_of(
    account_id: UUID, *, name: str, email: str | None, organisation: UUID | None, roles: Iterable[Role]
) -> dict[str, Any]:
    """What services are told of an account. `email` is None until its person has proved that they read it."""
    return {
        "sub": str(account_id),
        "name": name,
        "email": email,
        "org": str(organisation) if organisation else None,
        "roles": sorted(role.value for role in roles),
    }


def _private_pem(settings: Settings) -> str:
    """The configured key; outside production any other text is the seed of one, so that replicas agree on it."""
    text = settings.token_signing_key.get_secret_value()
    if text.lstrip().startswith("-----BEGIN") or settings.footlights_env == "production":
        return text
    key = Ed25519PrivateKey.from_private_bytes(sha256(text.encode()).digest())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
