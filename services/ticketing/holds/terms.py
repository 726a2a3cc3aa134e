"""What a hold has with its prices, as JSON: what was promised when it was placed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from contracts.ticketing import HeldPlaces, HeldSeat
from services.ticketing.shows.layout import Offer, Places


def to_json(held: Iterable[Offer | Places]) -> str:
    return orjson.dumps([each.json for each in held]).decode()


def from_dicts(terms: Iterable[dict[str, Any]]) -> tuple[Offer, ...]:
    seats = (HeldSeat.model_validate(term, strict=False) for term in terms)
    return tuple(
        Offer.of(seat.seat, seat.label, str(seat.zone_id), seat.zone_name, seat.price, seat.fare, seat.fare_name)
        for seat in seats
    )


def places_from(terms: Iterable[dict[str, Any]]) -> tuple[Places, ...]:
    return tuple(Places.of(HeldPlaces.model_validate(term, strict=False)) for term in terms)


def total(seats: Sequence[Offer], places: Sequence[Places]) -> int:
    """What all costs together, in minor units."""
    return sum(seat.price.minor for seat in seats) + sum(each.price.minor * each.quantity for each in places)
