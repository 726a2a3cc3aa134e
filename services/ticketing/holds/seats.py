"""The seats of one hold, in the database: given up, kept longer, or sold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

NOW = text("SELECT clock_timestamp()")

FREE = text("""
    DELETE FROM held_seat
    WHERE show_id = :show_id AND seat = ANY(CAST(:seats AS text[])) AND hold_id = :hold_id
    RETURNING seat
""")

KEEP = text("""
    INSERT INTO held_seat (show_id, seat, organisation, hold_id, until)
    SELECT :show_id, seat, :organisation, :hold_id, coalesce(CAST(:until AS timestamptz), 'infinity')
    FROM unnest(CAST(:seats AS text[])) AS seat ORDER BY seat
    ON CONFLICT (show_id, seat) DO UPDATE
    SET until = excluded.until
    WHERE held_seat.hold_id = excluded.hold_id
    RETURNING seat
""")


async def database_now(session: AsyncSession) -> datetime:
    """The one clock that decides about holds."""
    now: datetime = (await session.execute(NOW)).scalar_one()
    return now


async def free(session: AsyncSession, show_id: UUID, hold_id: UUID, seats: Sequence[str]) -> tuple[str, ...]:
    """Gives up those of the seats that this hold (still) has, sold ones too. Returns them in key order."""
    found = await session.scalars(FREE, {"show_id": show_id, "seats": list(seats), "hold_id": hold_id})
    return tuple(sorted(found))


async def keep(
    session: AsyncSession,
    *,
    organisation: UUID,
    show_id: UUID,
    hold_id: UUID,
    seats: Sequence[str],
    until: datetime | None,
) -> set[str]:
    """Keeps the seats for this hold until then, or for ever (sold) with None; takes those again that it lost and that
    are free. Returns the seats it has now: those missing belong to somebody else."""
    found = await session.scalars(
        KEEP,
        {
            "organisation": organisation,
            "show_id": show_id,
            "hold_id": hold_id,
            "seats": sorted(seats),
            "until": until,
        },
    )
    return set(found)
