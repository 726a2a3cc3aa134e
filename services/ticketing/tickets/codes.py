"""What the QR code of a ticket says: the ticket's id and a signature, so that a scanner without a network can tell a
real ticket from a made-up one. Whether it was voided only the service knows."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PREFIX = "FL1"
PURPOSE = b"footlights ticket 1 "
"""Signed along, so that no other thing signed with this key is ever a ticket."""


class Codes:
    def __init__(self, pem: str) -> None:
        key = load_pem_private_key(pem.encode(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("the key that signs tickets is not an Ed25519 key in PEM")
        self._key = key

    def sign(self, ticket_id: UUID) -> str:
        signature = self._key.sign(PURPOSE + ticket_id.bytes)
        return f"{PREFIX}.{_encode(ticket_id.bytes)}.{_encode(signature)}"

    def verify(self, code: str) -> UUID:
        """The ticket that a code is of. Raises `ValueError` for anything that we did not sign."""
        try:
            prefix, ident, signature = code.split(".")
            ticket_id = UUID(bytes=_decode(ident))
            if prefix != PREFIX:
                raise ValueError
            self._key.public_key().verify(_decode(signature), PURPOSE + ticket_id.bytes)
        except (ValueError, binascii.Error, InvalidSignature):
            raise ValueError("This is not the code of a ticket of ours.") from None
        return ticket_id


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
