"""The quote: what a hold's buyer is promised, signed, so that checkout needs neither ask nor trust a browser.

Whoever has the quote may extend or release the hold: it is sent back as `Hold-Token`.
"""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID

import jwt

from chassis.keys import KeySet, Signer
from chassis.problems import Unauthorised
from services.ticketing.holds.requests import Granted
from services.ticketing.shows.layout import Layout

ISSUER = "footlights-ticketing"
AUDIENCE = "quote"


class Quotes:
    def __init__(self, pem: str, published: str = "") -> None:
        self._signer = Signer(pem, ISSUER, published)
        self._keys = KeySet(inline=json.dumps(self._signer.jwks()), remember=False)

    def jwks(self) -> dict[str, Any]:
        return self._signer.jwks()

    def sign(self, layout: Layout, hold_id: str, granted: Granted) -> str:
        """A compact JWS that is valid as long as the hold."""
        until = granted.expires_at.timestamp()
        return self._signer.sign(
            {
                **layout.claims,
                "hold_id": hold_id,
                "seats": [seat.json for seat in granted.seats],
                "total": granted.total,
                "invoice": layout.invoice_for(granted.seats),
                "hold_until": int(until),
            },
            ttl_seconds=until - time.time(),
            audience=AUDIENCE,
        )

    async def hold_of(self, token: str) -> UUID:
        """The hold that a quote of ours is about. Raises `Unauthorised` for a forged or expired one."""
        try:
            claims = await self._keys.verify(token, audience=AUDIENCE, issuer=ISSUER)
            return UUID(claims["hold_id"])
        except (KeyError, ValueError, jwt.PyJWTError):
            raise Unauthorised("The Hold-Token is not a quote of ours.") from None
