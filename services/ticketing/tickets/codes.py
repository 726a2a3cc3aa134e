"""What the QR code of a ticket says: the ticket's id and a signature, so that a scanner without a network can tell a
real ticket from a made-up one. Whether it was voided only the service knows."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chassis.keys import private_key, public_keys

PREFIX = "FL1"
PURPOSE = b"footlights ticket 1 "
"""Signed along, so that no other thing signed with this key is ever a ticket."""
NOT_OURS = "This is not the code of a ticket of ours."


class Codes:
    """Signs with one key; `published` are public keys whose codes are good besides: of tickets sold before a rotation,
    and the next one, which other replicas sign with already."""

    def __init__(self, pem: str, published: str = "") -> None:
        self._key = private_key(pem)
        self._accepted = [self._key.public_key(), *public_keys(published)]

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
            signed, told = _decode(signature), PURPOSE + ticket_id.bytes
        except (ValueError, binascii.Error):
            raise ValueError(NOT_OURS) from None
        if not any(_made_by(key, signed, told) for key in self._accepted):
            raise ValueError(NOT_OURS)
        return ticket_id


def _made_by(key: Ed25519PublicKey, signature: bytes, told: bytes) -> bool:
    try:
        key.verify(signature, told)
    except InvalidSignature:
        return False
    return True


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
