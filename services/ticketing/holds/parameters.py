"""What the statement that takes seats is given for a batch of holds, each with its event ready for Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.ticketing.holds import placed, terms
from services.ticketing.holds.allowance import UNLIMITED, Limits
from services.ticketing.holds.requests import Request
from services.ticketing.holds.statement import BETWEEN_HOLDS, BETWEEN_SEATS


def parameters(requests: Sequence[Request], now: datetime, limits: Limits = UNLIMITED) -> list[Any]:
    """Those of `TAKE_SEATS`, for holds placed `now`.

    A column of texts travels as one text: of each element of an array asyncpg asks whether it is an array itself.
    """
    rows = (_texts(request, now) for request in requests)
    *columns, buyers, networks, channels, names, notes, clerks = zip(*rows, strict=True)
    places = [(n, each) for n, request in enumerate(requests, 1) for each in request.places]
    return [
        *map(BETWEEN_HOLDS.join, columns),
        [now + request.lifetime for request in requests],
        [request.layout.starts_at if request.latest is None else now + request.latest for request in requests],
        list({request.layout.show_id for request in requests}),
        BETWEEN_HOLDS.join(buyers),
        BETWEEN_HOLDS.join(networks),
        list(limits.buyer),
        list(limits.network),
        [request.units for request in requests],
        BETWEEN_HOLDS.join([request.asked for request in requests]),
        BETWEEN_HOLDS.join([terms.to_json(request.places) if request.places else "[]" for request in requests]),
        BETWEEN_HOLDS.join(channels),
        BETWEEN_HOLDS.join(names),
        BETWEEN_HOLDS.join(notes),
        BETWEEN_HOLDS.join(clerks),
        [n for n, _ in places],
        [each.area for _, each in places],
        [each.fare for _, each in places],
        [each.quantity for _, each in places],
    ]


def _texts(request: Request, now: datetime) -> tuple[str, ...]:
    """The first nine parameters, of one hold, who is counted, and what the desk says of it."""
    layout = request.layout
    return (
        request.text_id,
        layout.text_id,
        layout.text_organisation,
        str(layout.version),
        BETWEEN_SEATS.join(request.keys),
        str(request.account_id or ""),
        terms.to_json(request.seats),
        *placed.event(request, now, now + request.lifetime),
        str(request.buyer or ""),
        request.network or "",
        request.channel,
        request.name or "",
        request.note or "",
        str(request.clerk_id or ""),
    )
