"""The seats of a hold with their prices, as JSON: what was promised when it was placed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from contracts.ticketing import HeldSeat
from services.ticketing.shows.layout import Offer


def to_json(seats: Iterable[Offer]) -> str:
    return orjson.dumps([seat.json for seat in seats]).decode()


def from_dicts(terms: Iterable[dict[str, Any]]) -> tuple[Offer, ...]:
    seats = (HeldSeat.model_validate(term, strict=False) for term in terms)
    return tuple(Offer.of(seat.seat, seat.label, str(seat.zone_id), seat.zone_name, seat.price) for seat in seats)


def from_json(terms: str | bytes) -> tuple[Offer, ...]:
    return from_dicts(orjson.loads(terms))
