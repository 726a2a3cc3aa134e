"""The token of a hold: whoever has it may look at the hold, extend it and let go of it. Small whatever is held."""

from __future__ import annotations

import base64
import hashlib
import hmac
from uuid import UUID

from pydantic import SecretStr

BYTES = 18


class HoldTokens:
    """The same for a hold however often it is asked for, and told by nothing but the secret."""

    def __init__(self, secret: SecretStr) -> None:
        self._key = hashlib.sha256(b"footlights hold token " + secret.get_secret_value().encode()).digest()

    def of(self, hold_id: str) -> str:
        """24 characters that may stand in a header."""
        mac = hashlib.blake2b(hold_id.encode(), key=self._key, digest_size=BYTES)
        return base64.urlsafe_b64encode(mac.digest()).decode()

    def opens(self, token: str, hold_id: UUID) -> bool:
        return hmac.compare_digest(token.encode(), self.of(str(hold_id)).encode())
