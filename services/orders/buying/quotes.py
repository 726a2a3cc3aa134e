"""Ticketing's signed quote: the only source of the seats and prices of an order. Never a browser."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chassis.keys import KeySet, TokenExpired
from chassis.problems import Unauthorised
from contracts.ticketing import HeldPlaces, HeldSeat
from services.orders.errors import BadQuote, HoldOver

ISSUER = "footlights-ticketing"
AUDIENCE = "quote"


@dataclass(frozen=True, slots=True)
class Quote:
    hold_id: UUID
    organisation: UUID
    show_id: UUID
    show_name: str
    starts_at: datetime
    seats: tuple[HeldSeat, ...]
    places: tuple[HeldPlaces, ...]
    currency: str
    invoice_allowed: bool
    hold_until: datetime
    issued_at: datetime
    payment_seconds: int | None
    """How long this show's card orders may wait for their money, if it is not the usual time."""


async def verify(keys: KeySet, token: str) -> Quote:
    """Raises `BadQuote`, or `HoldOver` when the hold's time has passed."""
    try:
        claims = await keys.verify(token, audience=AUDIENCE, issuer=ISSUER)
    except TokenExpired:
        raise HoldOver("The hold has expired. Choose the seats again.") from None
    except Unauthorised:
        raise BadQuote("The quote is not signed by ticketing.") from None
    try:
        quote = _read(claims)
    except (KeyError, ValueError, TypeError):
        raise BadQuote("The quote is not complete.") from None
    if quote.hold_until <= datetime.now(UTC):
        raise HoldOver("The hold has expired. Choose the seats again.")
    return quote


def _read(claims: dict[str, Any]) -> Quote:
    quote = Quote(
        hold_id=UUID(claims["hold_id"]),
        organisation=UUID(claims["org"]),
        show_id=UUID(claims["show_id"]),
        show_name=claims["show"]["name"],
        starts_at=datetime.fromisoformat(claims["show"]["starts_at"]),
        seats=tuple(HeldSeat.model_validate(seat) for seat in claims["seats"]),
        places=tuple(HeldPlaces.model_validate(places) for places in claims.get("places", ())),
        currency=claims["currency"],
        invoice_allowed=bool(claims.get("invoice", False)),
        hold_until=datetime.fromtimestamp(float(claims["hold_until"]), UTC),
        issued_at=datetime.fromtimestamp(float(claims["iat"]), UTC),
        payment_seconds=claims.get("payment_seconds"),
    )
    total = sum(seat.price.minor for seat in quote.seats) + sum(x.price.minor * x.quantity for x in quote.places)
    if not (quote.seats or quote.places) or total != int(claims["total"]):
        raise ValueError("the total is not the sum of what is held")
    return quote
