"""The seats of a hold with their prices, as JSON: what was promised when it was placed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from contracts.ticketing import HeldSeat


def to_dicts(seats: Iterable[HeldSeat]) -> list[dict[str, Any]]:
    return [
        {
            "seat": seat.seat,
            "label": seat.label,
            "zone_id": str(seat.zone_id),
            "zone_name": seat.zone_name,
            "price": {"minor": seat.price.minor, "currency": seat.price.currency},
        }
        for seat in seats
    ]


def to_json(seats: Iterable[HeldSeat]) -> str:
    return orjson.dumps(to_dicts(seats)).decode()


def from_dicts(terms: Iterable[dict[str, Any]]) -> tuple[HeldSeat, ...]:
    return tuple(HeldSeat.model_validate(term, strict=False) for term in terms)


def from_json(terms: str | bytes) -> tuple[HeldSeat, ...]:
    return from_dicts(orjson.loads(terms))
