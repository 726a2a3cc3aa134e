"""The quote: what a hold's buyer is promised, signed, so that checkout needs neither ask nor trust a browser.

It is as large as what it promises, so it goes into the body of the checkout and nowhere else.
"""

from __future__ import annotations

import time
from typing import Any

from chassis.keys import Signer
from services.ticketing.holds.requests import Granted
from services.ticketing.shows.layout import Layout

ISSUER = "footlights-ticketing"
AUDIENCE = "quote"


class Quotes:
    def __init__(self, pem: str, published: str = "") -> None:
        self._signer = Signer(pem, ISSUER, published)

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
                "places": [each.json for each in granted.places],
                "channel": granted.channel,
                "total": granted.total,
                "invoice": layout.invoice_for(granted.seats, granted.places),
                "hold_until": int(until),
            },
            ttl_seconds=until - time.time(),
            audience=AUDIENCE,
        )
