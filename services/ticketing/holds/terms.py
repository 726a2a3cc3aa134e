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
    return tuple(Offer.of(HeldSeat.model_validate(term, strict=False)) for term in terms)


def from_json(terms: str | bytes) -> tuple[Offer, ...]:
    return from_dicts(orjson.loads(terms))
