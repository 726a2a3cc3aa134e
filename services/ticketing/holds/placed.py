"""`HoldPlaced` of the hot path, written without its model. A test holds it against the contract."""

from __future__ import annotations

from datetime import datetime

import orjson
import uuid_utils

from contracts.envelope import attributes
from contracts.ticketing import HoldPlaced
from services.ticketing.holds.requests import Request
from services.ticketing.holds.terms import total


def event(request: Request, now: datetime, expires_at: datetime) -> tuple[str, str]:
    """Value and headers as the outbox keeps them, of a hold placed `now`."""
    layout = request.layout
    hold_id = request.text_id
    data = {
        "hold_id": hold_id,
        "show_id": layout.text_id,
        "show_name": layout.name,
        "starts_at": layout.starts_at,
        "seats": [seat.json for seat in request.seats],
        "places": [each.json for each in request.places],
        "total": {"minor": total(request.seats, request.places), "currency": layout.currency},
        "expires_at": expires_at,
        **({"account_id": str(request.account_id)} if request.account_id else {}),
        "channel": request.channel,
        **({"name": request.name} if request.name else {}),
    }
    headers = attributes(
        HoldPlaced.event_type,
        id=uuid_utils.uuid7(),
        subject=hold_id,
        organisation=layout.text_organisation,
        aggregate_version=1,
        time=now,
        correlation_id=hold_id,
        traceparent=request.traceparent,
    )
    return orjson.dumps(data, option=orjson.OPT_UTC_Z).decode(), orjson.dumps(list(headers.items())).decode()
