"""Reading shows: the repertoire, statistics."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ticketing import ShowStatus
from services.ticketing.errors import NoSuchShow
from services.ticketing.halls.tables import Hall
from services.ticketing.shows.board import Board
from services.ticketing.shows.layout import Layout
from services.ticketing.shows.tables import Show

SEATS = text("""
    SELECT count(*) FILTER (WHERE until <> 'infinity') AS held, count(*) FILTER (WHERE until = 'infinity') AS sold
    FROM held_seat
    WHERE show_id = :show_id AND organisation = :organisation
""")
AREAS = text("""
    SELECT id, name, capacity, taken
    FROM area WHERE show_id = :show_id AND organisation = :organisation ORDER BY position
""")
CHANNELS = text("""
    SELECT channel, coalesce(sum(units) FILTER (WHERE status IN ('active', 'lapsed')), 0)::bigint AS held,
           (SELECT count(*) FROM ticket
            WHERE ticket.show_id = :show_id AND ticket.channel = hold.channel AND voided_at IS NULL) AS sold
    FROM hold WHERE show_id = :show_id AND organisation = :organisation GROUP BY channel ORDER BY channel
""")
SOLD_AND_VOIDED = text("""
    SELECT count(*) FILTER (WHERE issued_at >= :since AND issued_at < :until) AS issued,
           count(*) FILTER (WHERE voided_at >= :since AND voided_at < :until) AS voided,
           coalesce(sum(price_minor) FILTER (WHERE issued_at >= :since AND issued_at < :until), 0)::bigint
           AS sold_minor,
           coalesce(sum(price_minor) FILTER (WHERE voided_at >= :since AND voided_at < :until), 0)::bigint
           AS voided_minor
    FROM ticket WHERE show_id = :show_id AND organisation = :organisation
""")
BOOKINGS = text("""
    SELECT CASE WHEN status = 'lapsed' THEN 'active' ELSE status END AS state,
           count(*) AS holds, coalesce(sum(units), 0)::bigint AS seats
    FROM hold
    WHERE show_id = :show_id AND organisation = :organisation AND placed_at >= :since AND placed_at < :until
    GROUP BY state
""")


async def visible(session: AsyncSession, board: Board, show_id: UUID, organisation: UUID | None) -> Layout:
    """A show as the public may see it; a draft only by its own organisation. Raises `NoSuchShow`."""
    row = (await session.execute(select(Show.version).where(Show.id == show_id))).one_or_none()
    if row is None:
        raise NoSuchShow(f"There is no show {show_id}.")
    layout = board.peek(show_id)
    if layout is None or layout.version < row.version:
        layout = await board.read(session, show_id)
        board.remember(layout)
    return must_be_visible(layout, organisation)


def must_be_visible(layout: Layout, organisation: UUID | None) -> Layout:
    """Raises `NoSuchShow` for a draft of another organisation."""
    if layout.status == ShowStatus.DRAFT and layout.organisation != organisation:
        raise NoSuchShow(f"There is no show {layout.show_id}.")
    return layout


def repertoire(
    *,
    organisation: UUID | None,
    drafts: bool,
    since: datetime | None,
    until: datetime | None,
    status: ShowStatus | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Select[Show, str, int]:
    """Shows in the order of their beginning (TKT-16)."""
    query = select(Show, Hall.name, Hall.seats).join(Hall, Hall.id == Show.hall_id)
    conditions = []
    if organisation is not None:
        conditions.append(Show.organisation == organisation)
    if not drafts:
        conditions.append(Show.status != ShowStatus.DRAFT)
    if status is not None:
        conditions.append(Show.status == status)
    if since is not None:
        conditions.append(Show.starts_at >= since)
    if until is not None:
        conditions.append(Show.starts_at < until)
    if after is not None:
        conditions.append(tuple_(Show.starts_at, Show.id) > after)
    return query.where(*conditions).order_by(Show.starts_at, Show.id).limit(limit)


async def statistics(session: AsyncSession, layout: Layout, since: datetime, until: datetime) -> dict[str, Any]:
    """Seats, places and channels now; bookings and tickets of a period (TKT-17)."""
    show: dict[str, Any] = {"show_id": layout.show_id, "organisation": layout.organisation}
    period = {**show, "since": since, "until": until}
    seats: Row[Any] = (await session.execute(SEATS, show)).one()
    tickets: Row[Any] = (await session.execute(SOLD_AND_VOIDED, period)).one()
    bookings = {row.state: row for row in await session.execute(BOOKINGS, period)}
    return {
        "seats": {
            "capacity": len(layout.places),
            "for_sale": len(layout.offers),
            "free": len(layout.offers) - seats.held - seats.sold,
            "held": seats.held,
            "sold": seats.sold,
        },
        "areas": [
            {"area_id": row.id, "name": row.name, "capacity": row.capacity, "left": row.capacity - row.taken}
            for row in await session.execute(AREAS, show)
        ],
        "channels": {
            row.channel: {"held": row.held, "sold": row.sold} for row in await session.execute(CHANNELS, show)
        },
        "tickets": {
            "issued": tickets.issued,
            "voided": tickets.voided,
            "sold": {"minor": tickets.sold_minor, "currency": layout.currency},
            "returned": {"minor": tickets.voided_minor, "currency": layout.currency},
        },
        "bookings": {
            state: {"holds": bookings[state].holds, "seats": bookings[state].seats}
            if state in bookings
            else {"holds": 0, "seats": 0}
            for state in ("active", "released", "annulled", "expired", "converted")
        },
    }
