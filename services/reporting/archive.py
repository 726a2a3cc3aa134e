"""What happened, without the persons: every event that reports are built from, kept for ever.

The topics that carry names are kept for some hundred days, and a person may ask to be forgotten. So reporting keeps
what a report may ever need of an event, in the event's own form, and read models are rebuilt from that. What is kept is
listed field by field: a new field of an event is left out until somebody finds that it says nothing of a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from chassis.texts import without_nul
from contracts.accounts import OrganisationState
from contracts.envelope import Event, EventData
from contracts.orders import OrderState, PaymentState
from contracts.ticketing import ShowState, TicketsIssued, TicketsVoided

LINE = {
    *("line_id", "kind", "reference", "title", "quantity", "unit_price", "total", "given_by", "show_id", "hold_id"),
    *("zone_name", "fare", "fare_name", "discount", "tax", "tax_rate", "given", "returned", "refunded"),
}
TICKET = {"ticket_id", "number", "seat", "area", "label", "zone_name", "fare", "fare_name", "price", "line_id"}
TICKETS = {"order_id", "hold_id", "show_id", "show_name", "starts_at", "hall_name", "request_id"}
ORDER = {
    *("order_id", "number", "stage", "payment_status", "payment_method", "currency", "total", "paid", "refunded"),
    *("show_id", "offer_id", "title", "locale", "created_at", "pay_by", "was_paid"),
    *("refund_id", "amount", "line_ids", "full"),
}
PAYMENT = {"payment_id", "order_id", "order_number", "provider", "amount", "refund_id"}
SHOW = {
    *("show_id", "name", "starts_at", "hall_id", "hall_name", "status", "currency", "capacity", "areas"),
    "invoice_allowed",
}
ZONE = {"zone_id", "name", "price", "seats", "fares"}
ORGANISATION = {"organisation_id", "slug", "name", "currency", "locale", "time_zone", "phone_region"}

KEPT: Mapping[type[EventData], dict[str, Any]] = {
    OrganisationState: dict.fromkeys(ORGANISATION, True),
    ShowState: dict.fromkeys(SHOW, True) | {"price_zones": {"__all__": ZONE}},
    OrderState: dict.fromkeys(ORDER, True) | {"lines": {"__all__": LINE}},
    PaymentState: dict.fromkeys(PAYMENT, True),
    TicketsIssued: dict.fromkeys(TICKETS, True) | {"tickets": {"__all__": TICKET}},
    TicketsVoided: dict.fromkeys(TICKETS, True) | {"tickets": {"__all__": TICKET}},
}
EMPTIED: Mapping[str, Any] = {"staff_email": "", "reason": "", "documents": []}
"""What an event must have and an archive need not. A reason is what somebody typed."""

KEEP = text("""
    INSERT INTO fact (event_id, event_type, organisation, aggregate_version, time, data)
    SELECT event_id, event_type, organisation, aggregate_version, time, data::jsonb
    FROM unnest(CAST(:event_id AS uuid[]), CAST(:event_type AS text[]), CAST(:organisation AS uuid[]),
                CAST(:aggregate_version AS bigint[]), CAST(:time AS timestamptz[]), CAST(:data AS text[]))
         AS new (event_id, event_type, organisation, aggregate_version, time, data)
    ON CONFLICT DO NOTHING
""")
READ = text("""
    SELECT id, event_id, event_type, organisation, aggregate_version, time, data::text AS data
    FROM public.fact WHERE id > :after AND id <= :end ORDER BY id LIMIT :limit
""")


async def keep(session: AsyncSession | AsyncConnection, events: Sequence[Event[Any]]) -> None:
    """Keeps what the events say without the persons; one that is kept already stays as it is."""
    if events:
        rows = [_row(event) for event in events]
        await session.execute(KEEP, {name: [row[name] for row in rows] for name in rows[0]})


async def read(connection: AsyncConnection, after: int, end: int, limit: int) -> tuple[int, list[Event[EventData]]]:
    """Up to `limit` facts behind the id `after`, up to `end`; the id of the last one, and the events.

    Raises `ValueError` for a fact that the contracts do not know any more.
    """
    rows = (await connection.execute(READ, {"after": after, "end": end, "limit": limit})).all()
    return (rows[-1].id if rows else end), [_event(row) for row in rows]


def person_free(data: EventData) -> dict[str, Any]:
    """The data of an event as they are kept: still valid for its type."""
    include = next(fields for kind, fields in KEPT.items() if isinstance(data, kind))
    kept: dict[str, Any] = data.model_dump(mode="json", include=include)
    for ticket in kept.get("tickets", ()):
        ticket["holder"] = {"name": ""}
    emptied = {name: empty for name, empty in EMPTIED.items() if name in type(data).model_fields}
    cleaned: dict[str, Any] = _storable(emptied | kept)
    return cleaned


def _row(event: Event[Any]) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "event_type": event.type,
        "organisation": event.organisation,
        "aggregate_version": event.aggregate_version,
        "time": event.time,
        "data": orjson.dumps(person_free(event.data)).decode(),
    }


def _event(row: Any) -> Event[EventData]:
    known = EventData.known.get(row.event_type)
    if known is None:
        raise ValueError(f"the archive has a {row.event_type}, which contracts does not know")
    return Event(
        id=UUID(str(row.event_id)),
        data=known.from_json(row.data.encode()),
        organisation=row.organisation,
        aggregate_version=row.aggregate_version,
        time=row.time,
    )


def _storable(value: Any) -> Any:
    """Without NUL characters, which JSON has and PostgreSQL has not."""
    if isinstance(value, str):
        return without_nul(value)
    if isinstance(value, dict):
        return {name: _storable(each) for name, each in value.items()}
    return [_storable(each) for each in value] if isinstance(value, list) else value
