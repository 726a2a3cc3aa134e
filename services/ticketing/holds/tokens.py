"""The token of a hold: whoever has it may look at the hold, extend it and let go of it. Small whatever is held."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

from pydantic import SecretStr

BYTES = 14


class HoldTokens:
    """The same for a hold however often it is asked for, and told by nothing but the secret."""

    def __init__(self, secret: SecretStr) -> None:
        self._key = hashlib.sha256(b"footlights hold token " + secret.get_secret_value().encode()).digest()

    def of(self, hold_id: str) -> str:
        """40 characters that may stand in a header; they say which hold it is."""
        return self._of(UUID(hold_id).bytes)

    def opens(self, token: str, hold_id: UUID) -> bool:
        return hmac.compare_digest(token.encode(), self._of(hold_id.bytes).encode())

    def hold_of(self, token: str) -> UUID | None:
        """The hold that a token opens; None if it opens none."""
        try:
            hold_id = UUID(bytes=base64.urlsafe_b64decode(token)[:16])
        except (ValueError, binascii.Error):
            return None
        return hold_id if self.opens(token, hold_id) else None

    def _of(self, raw: bytes) -> str:
        mac = hashlib.blake2b(raw, key=self._key, digest_size=BYTES)
        return base64.urlsafe_b64encode(raw + mac.digest()).decode()
