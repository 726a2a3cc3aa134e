"""The quote: what a hold's buyer is promised, signed, so that checkout needs neither ask nor trust a browser.

Whoever has the quote may extend or release the hold: it is sent back as `Hold-Token`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jwt

from chassis.keys import KeySet, Signer
from chassis.problems import Unauthorised
from contracts.ticketing import HeldSeat

ISSUER = "footlights-ticketing"
AUDIENCE = "quote"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a quote is about."""

    hold_id: UUID
    show_id: UUID
    organisation: UUID
    show_name: str
    starts_at: datetime
    currency: str
    invoice_allowed: bool
    seats: Sequence[HeldSeat]
    expires_at: datetime
    payment_seconds: int | None


class Quotes:
    def __init__(self, pem: str) -> None:
        self._signer = Signer(pem, ISSUER)
        self._keys = KeySet(inline=json.dumps(self._signer.jwks()))

    def jwks(self) -> dict[str, Any]:
        return self._signer.jwks()

    def sign(self, terms: Terms) -> str:
        """A compact JWS that is valid as long as the hold."""
        left = (terms.expires_at - datetime.now(UTC)).total_seconds()
        return self._signer.sign(
            {
                "hold_id": str(terms.hold_id),
                "show_id": str(terms.show_id),
                "org": str(terms.organisation),
                "show": {"name": terms.show_name, "starts_at": rfc3339(terms.starts_at)},
                "seats": [
                    {
                        "seat": seat.seat,
                        "label": seat.label,
                        "zone_id": str(seat.zone_id),
                        "zone_name": seat.zone_name,
                        "minor": seat.price.minor,
                    }
                    for seat in terms.seats
                ],
                "currency": terms.currency,
                "total": sum(seat.price.minor for seat in terms.seats),
                "invoice": terms.invoice_allowed,
                "payment_seconds": terms.payment_seconds,
                "hold_until": int(terms.expires_at.timestamp()),
            },
            ttl_seconds=left,
            audience=AUDIENCE,
        )

    async def hold_of(self, token: str) -> UUID:
        """The hold that a quote of ours is about. Raises `Unauthorised` for a forged or expired one."""
        try:
            claims = await self._keys.verify(token, audience=AUDIENCE, issuer=ISSUER)
            return UUID(claims["hold_id"])
        except (KeyError, ValueError, jwt.PyJWTError):
            raise Unauthorised("The Hold-Token is not a quote of ours.") from None


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
