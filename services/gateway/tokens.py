"""The short-lived tokens that services trust, and the keys that are published for them.

Rotation without a gap: publish the next public key beside the old one (`TOKEN_PUBLISHED_KEYS`), then swap the signing
key and publish the old public key, then drop it after the last token has expired. Services fetch the set when they
meet a key they do not know.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from chassis.edge import AUDIENCE, ISSUER
from chassis.keys import ALGORITHM, Signer
from contracts.accounts import Role
from services.gateway.settings import Settings

PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


class Tokens:
    """Signs tokens with the active key."""

    def __init__(self, settings: Settings) -> None:
        self.seconds = settings.token_seconds
        self._signer = Signer(_private_pem(settings), ISSUER)
        self._published = [_jwk(pem) for pem in PEM.findall(settings.token_published_keys)]

    def sign(self, account_id: UUID, *, name: str, email: str, organisation: UUID | None, roles: Iterable[Role]) -> str:
        """About 40 us; the caller keeps the token until shortly before it expires."""
        claims = {
            "sub": str(account_id),
            "name": name,
            "email": email,
            "org": str(organisation) if organisation else None,
            "roles": sorted(role.value for role in roles),
        }
        return self._signer.sign(claims, ttl_seconds=self.seconds, audience=AUDIENCE)

    def jwks(self) -> dict[str, Any]:
        """The active key first."""
        active = self._signer.jwks()["keys"]
        return {"keys": [*active, *(key for key in self._published if key["kid"] != self._signer.kid)]}


def _private_pem(settings: Settings) -> str:
    """The configured key; outside production any other text is the seed of one, so that replicas agree on it."""
    text = settings.token_signing_key.get_secret_value()
    if text.lstrip().startswith("-----BEGIN") or settings.footlights_env == "production":
        return text
    key = Ed25519PrivateKey.from_private_bytes(sha256(text.encode()).digest())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _jwk(pem: str) -> dict[str, str]:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("TOKEN_PUBLISHED_KEYS holds a key that is not Ed25519")
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    kid = sha256(raw).hexdigest()[:16]
    x = urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": ALGORITHM, "use": "sig"}
