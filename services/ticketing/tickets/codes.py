"""What the QR code of a ticket says, signed so that a device at the door can judge it without a network.

docs/door.md tells the format to whoever builds such a device. Whether a ticket was voided only the service knows.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chassis.keys import jwk, private_key, public_keys

PREFIX = "FL2"
PURPOSE = b"footlights ticket 2 "
"""Signed along, so that no other thing signed with this key is ever a ticket."""
TOLD = struct.Struct(">8s16s16sI")
"""The id of the key, the show, the ticket, and the day of the show in days since `FIRST_DAY`."""
FIRST_DAY = date(1970, 1, 1)
LONGEST = 200
"""Letters of a text that are looked at."""


class NotOurs(ValueError):
    """Nothing that one of the keys has signed: forged, altered, or misread."""


class OtherShow(ValueError):
    """A ticket of ours, for another show."""


class OtherDay(ValueError):
    """A ticket for this show, printed for another day than those that are let in."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a code says."""

    ticket_id: UUID
    show_id: UUID
    day: date
    """Of the show, where it is played, as it was when the ticket was made."""


Keys = dict[bytes, Ed25519PublicKey]


def keys_of(jwks: dict[str, Any]) -> Keys:
    """The keys of a JWK set, as a device fetches it before the doors open."""
    return {bytes.fromhex(each["kid"]): Ed25519PublicKey.from_public_bytes(_decode(each["x"])) for each in jwks["keys"]}


def read(code: str, keys: Keys) -> Told:
    """What a code says that one of the keys has signed. Raises `NotOurs`."""
    try:
        prefix, told, signature = code[:LONGEST].split(".")
        raw, signed = _decode(told), _decode(signature)
        key_id, show, ticket, days = TOLD.unpack(raw)
        # One text for one ticket: other spellings of the same bytes are none of ours.
        if prefix != PREFIX or code != _spell(raw, signed):
            raise ValueError
        keys[key_id].verify(signed, PURPOSE + raw)
    except (ValueError, KeyError, binascii.Error, struct.error, InvalidSignature):
        raise NotOurs("This is not the code of a ticket of ours.") from None
    return Told(UUID(bytes=ticket), UUID(bytes=show), FIRST_DAY + timedelta(days=days))


def judge(code: str, keys: Keys, *, show_id: UUID, days: Collection[date]) -> Told:
    """A code that is good for this show on one of these days: the day of the show, and those it was moved from.

    Needs no network. Raises `NotOurs`, `OtherShow` and `OtherDay`.
    """
    told = read(code, keys)
    if told.show_id != show_id:
        raise OtherShow("This ticket is for another show.")
    if told.day not in days:
        raise OtherDay(f"This ticket is for {told.day.isoformat()}.")
    return told


class Codes:
    """Signs with one key; `published` are public keys whose codes are good besides: of tickets sold before a rotation,
    and the next one, which other replicas sign with already."""

    def __init__(self, pem: str, published: str = "") -> None:
        self._key = private_key(pem)
        mine = self._key.public_key()
        self._jwks = list(_each_once([jwk(mine), *map(jwk, public_keys(published))]))
        self._key_id = bytes.fromhex(jwk(mine)["kid"])
        self.keys = keys_of(self.jwks())

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set, the active one first."""
        return {"keys": self._jwks}

    def sign(self, told: Told) -> str:
        days = (told.day - FIRST_DAY).days
        raw = TOLD.pack(self._key_id, told.show_id.bytes, told.ticket_id.bytes, days)
        return _spell(raw, self._key.sign(PURPOSE + raw))


def _each_once(keys: Iterable[dict[str, str]]) -> Iterable[dict[str, str]]:
    return {key["kid"]: key for key in keys}.values()


def _spell(told: bytes, signature: bytes) -> str:
    return f"{PREFIX}.{_encode(told)}.{_encode(signature)}"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
