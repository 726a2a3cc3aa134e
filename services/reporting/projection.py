"""Applies events to the rows of `models`, one statement per table and batch.

Any number of times and in any order: the result is the same. While a rebuild exchanges the tables, batches and reports
wait for it (`steady`), so none of them sees half of the old and half of the new ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from chassis.projections import age
from chassis.texts import without_nul
from contracts.accounts import OrganisationState
from contracts.envelope import Event, EventData
from contracts.orders import (
    OrderDeleted,
    OrderState,
    PaymentReceived,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentReversed,
    PaymentState,
)
from contracts.ticketing import ShowState, TicketsIssued, TicketsVoided
from services.reporting.models import Movement, OrderRow, OrganisationRow, RemovedOrder, ShowRow, TicketRow

HANDLED: tuple[type[EventData], ...] = (
    *OrganisationState.types(),
    *ShowState.types(),
    *OrderState.types(),
    PaymentReceived,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentReversed,
    TicketsIssued,
    TicketsVoided,
)
"""The event types that reports are built from; the archive keeps them."""

MOVEMENTS = (PaymentReceived, PaymentRefunded, PaymentReversed)

SWAP_LOCK = 0x466F6F746C726562
"""Advisory lock: shared by batches and reports, exclusive while a rebuild exchanges the tables."""

STEADY = text(f"SELECT pg_advisory_xact_lock_shared({SWAP_LOCK})")

Row = dict[str, Any]


async def steady(session: AsyncSession) -> None:
    """Keeps the tables from being exchanged until the transaction ends. Call it before the first statement on them."""
    await session.execute(STEADY)


async def apply(session: AsyncSession | AsyncConnection, events: Sequence[Event[Any]]) -> None:
    """Brings the rows up to date with a batch of events."""
    for table, rows in rows_of(events).items():
        if rows:
            columns = list(rows[0])
            await session.execute(STATEMENTS[table], {column: [row[column] for row in rows] for column in columns})


def rows_of(events: Iterable[Event[Any]]) -> dict[str, list[Row]]:
    """The rows that a batch asks for, by table; at most one per primary key."""
    newest: dict[str, dict[UUID, Event[Any]]] = {"organisation_row": {}, "show_row": {}, "order_row": {}}
    removed: dict[UUID, Row] = {}
    movements: dict[UUID, Row] = {}
    tickets: dict[UUID, Row] = {}
    for event in events:
        data = event.data
        if isinstance(data, OrderState):
            _keep_newest(newest["order_row"], data.order_id, event)
            if isinstance(data, OrderDeleted):
                removed[data.order_id] = {"order_id": data.order_id, "organisation": event.organisation}
        elif isinstance(data, MOVEMENTS) or (isinstance(data, PaymentRefundFailed) and data.came_back):
            movements[event.id] = _movement(event, data)
        elif isinstance(data, TicketsIssued | TicketsVoided):
            _add_tickets(tickets, event, data)
        elif isinstance(data, ShowState):
            _keep_newest(newest["show_row"], data.show_id, event)
        elif isinstance(data, OrganisationState):
            _keep_newest(newest["organisation_row"], data.organisation_id, event)
    return {
        "organisation_row": [_organisation(event, event.data) for event in newest["organisation_row"].values()],
        "show_row": [_show(event, event.data) for event in newest["show_row"].values()],
        "order_row": [_order(event, event.data) for event in newest["order_row"].values()],
        "removed_order": list(removed.values()),
        "movement": list(movements.values()),
        "ticket_row": list(tickets.values()),
    }


def _keep_newest(newest: dict[UUID, Event[Any]], key: UUID, event: Event[Any]) -> None:
    known = newest.get(key)
    if known is None or age(event) > age(known):
        newest[key] = event


def _state(event: Event[Any]) -> Row:
    return {"version": event.aggregate_version, "event_at": event.time, "event_id": event.id}


def _organisation(event: Event[Any], data: OrganisationState) -> Row:
    return {
        "organisation": data.organisation_id,
        "name": without_nul(data.name),
        "currency": data.currency,
        "time_zone": without_nul(data.time_zone),
        **_state(event),
    }


def _show(event: Event[Any], data: ShowState) -> Row:
    return {
        "show_id": data.show_id,
        "organisation": event.organisation,
        "name": without_nul(data.name),
        "starts_at": data.starts_at,
        "status": data.status.value,
        "currency": data.currency,
        "capacity": data.capacity,
        **_state(event),
    }


def _order(event: Event[Any], data: OrderState) -> Row:
    return {
        "order_id": data.order_id,
        "organisation": event.organisation,
        "number": without_nul(data.number),
        "stage": data.stage.value,
        "payment_status": data.payment_status.value,
        "payment_method": data.payment_method.value if data.payment_method else None,
        "currency": data.currency,
        "total": data.total.minor,
        "show_id": data.show_id,
        "offer_id": data.offer_id,
        "title": without_nul(data.title),
        "created_at": data.created_at,
        **_state(event),
    }


def _movement(event: Event[Any], data: PaymentState) -> Row:
    sign = -1 if isinstance(data, PaymentRefunded | PaymentReversed) else 1
    return {
        "event_id": event.id,
        "organisation": event.organisation,
        "order_id": data.order_id,
        "payment_id": data.payment_id,
        "provider": without_nul(data.provider),
        "currency": data.amount.currency,
        "minor": sign * data.amount.minor,
        "returned": isinstance(data, PaymentRefunded | PaymentRefundFailed),
        "at": event.time,
    }


def _add_tickets(tickets: dict[UUID, Row], event: Event[Any], data: TicketsIssued | TicketsVoided) -> None:
    column = "issued_at" if isinstance(data, TicketsIssued) else "voided_at"
    for ticket in data.tickets:
        row = tickets.setdefault(
            ticket.ticket_id,
            {
                "ticket_id": ticket.ticket_id,
                "organisation": event.organisation,
                "show_id": data.show_id,
                "order_id": data.order_id,
                "issued_at": None,
                "voided_at": None,
            },
        )
        row[column] = min(filter(None, (row[column], event.time)))


NEWER = "(excluded.version, excluded.event_at, excluded.event_id) > ({t}.version, {t}.event_at, {t}.event_id)"


def _insert(table: Table) -> str:
    names = ", ".join(column.name for column in table.columns)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = ", ".join(f"CAST(:{column.name} AS {column.type.compile(dialect=dialect)}[])" for column in table.columns)
    # Rows are locked in the order of their keys, so two replicas never wait for each other in a circle.
    key = next(iter(table.primary_key.columns)).name
    return (
        f"INSERT INTO {table.name} ({names}) "  # noqa: S608 - names come from our own metadata
        f"SELECT * FROM unnest({arrays}) AS new ({names}) ORDER BY {key} ON CONFLICT ({key}) "
    )


def _replace_older(table: Table) -> TextClause:
    changes = ", ".join(f"{c.name} = excluded.{c.name}" for c in table.columns if not c.primary_key)
    return text(f"{_insert(table)} DO UPDATE SET {changes} WHERE {NEWER.format(t=table.name)}")


def _once(table: Table) -> TextClause:
    return text(f"{_insert(table)} DO NOTHING")


def _first_dates(table: Table) -> TextClause:
    dates = ", ".join(f"{c} = least({table.name}.{c}, excluded.{c})" for c in ("issued_at", "voided_at"))
    return text(f"{_insert(table)} DO UPDATE SET {dates}")


def _table(kind: Any) -> Table:
    return cast(Table, kind.__table__)


STATEMENTS: Mapping[str, TextClause] = {
    "organisation_row": _replace_older(_table(OrganisationRow)),
    "show_row": _replace_older(_table(ShowRow)),
    "order_row": _replace_older(_table(OrderRow)),
    "removed_order": _once(_table(RemovedOrder)),
    "movement": _once(_table(Movement)),
    "ticket_row": _first_dates(_table(TicketRow)),
}
