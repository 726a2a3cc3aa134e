"""HTTP: holding seats (TKT-15). Bare ASGI, without models: this is what everybody calls at the same moment."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

import orjson
from asyncpg.pgproto import pgproto
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from chassis import context
from chassis.edge import caller_of, public
from chassis.intake import takes
from chassis.problems import Unauthorised, raises
from services.ticketing.errors import (
    HoldEnded,
    HoldInvalid,
    NoSuchShow,
    NotTogether,
    NotYourHold,
    OtherHoldHasThisId,
    OutcomeUnknown,
    PlacesTaken,
    SaleBusy,
    SeatsNotForSale,
    SeatsTaken,
    ShowNotOnSale,
    TooManyHeld,
    TooManySeats,
)
from services.ticketing.holds.place import BoxOffice
from services.ticketing.holds.wanted import Wanted, parse
from services.ticketing.holds.yours import HEADER

MOST_BYTES = 128 * 1024
"""2,000 seats of a group, with ids as long as UUIDs."""

# In an on-sale it is the same few, and reading one takes as long as reading the body.
_show_id = lru_cache(maxsize=1024)(UUID)


@takes(MOST_BYTES)
@raises(
    NoSuchShow,
    NotTogether,
    NotYourHold,
    SeatsTaken,
    PlacesTaken,
    ShowNotOnSale,
    SeatsNotForSale,
    TooManySeats,
    TooManyHeld,
    HoldInvalid,
    OtherHoldHasThisId,
    HoldEnded,
    SaleBusy,
    OutcomeUnknown,
    Unauthorised,
)
class PlaceHold:
    """Takes the seats of one request and answers with the hold and its quote."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await caller_of(scope)
        show_id, hold_id, wanted = _parse(scope["path_params"]["show_id"], await _body(receive))
        box_office: BoxOffice = scope["app"].state.box_office
        try:
            new, content = await box_office.place(show_id, hold_id, wanted, caller, _token(scope))
        except Exception:
            # For what is logged of it; there is nothing to log of a hold that succeeds.
            context.bind(order_id=hold_id, show_id=show_id)
            raise
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 201 if new else 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def _body(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise HoldInvalid("The body ended early.")
    body: bytes = message["body"]
    return body


def _token(scope: Scope) -> str | None:
    found: bytes | None = next((value for name, value in scope["headers"] if name == HEADER), None)
    return None if found is None else found.decode("latin-1")


def _parse(show: str, raw: bytes) -> tuple[UUID, UUID, Wanted]:
    try:
        body = orjson.loads(raw)
        # The database's own kind of UUID, which is read and written ten times as fast.
        show_id, hold_id = _show_id(show), pgproto.UUID(body["hold_id"])
    except (orjson.JSONDecodeError, ValueError, TypeError, KeyError, AttributeError):
        raise HoldInvalid(
            'Send {"hold_id": "<a new UUIDv7>", "seats": ["<seat_guid>", ...]}, or `items`, or `best`.'
        ) from None
    return show_id, hold_id, parse(body)


HOLD_ROUTE = Route("/shows/{show_id}/holds", PlaceHold(), methods=["POST"])
HOLD_ROUTE.permission = public()  # type: ignore[attr-defined]
