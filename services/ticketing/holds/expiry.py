"""Tells the world that holds have run out, and tidies up. Nothing depends on it: an expired row is taken over in place.

Only seats that nobody has taken meanwhile are announced as free.
"""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from sqlalchemy import text

from chassis import outbox
from chassis.db import Database
from contracts.ticketing import HoldEnd, HoldReleased
from services.ticketing import metrics

BATCH = 500

EXPIRE = text("""
    WITH due AS (
        SELECT id FROM hold
        WHERE status = 'active' AND expires_at <= clock_timestamp()
        ORDER BY expires_at LIMIT :batch
        FOR UPDATE SKIP LOCKED
    )
    UPDATE hold SET status = 'expired', version = version + 1
    FROM due WHERE hold.id = due.id
    RETURNING hold.id, hold.organisation, hold.show_id, hold.version
""")

FREE = text("""
    WITH due AS (
        SELECT held_seat.show_id, held_seat.seat
        FROM hold
        CROSS JOIN LATERAL unnest(hold.seats) AS wanted (seat)
        JOIN held_seat ON held_seat.show_id = hold.show_id AND held_seat.seat = wanted.seat
        WHERE hold.id = ANY(CAST(:holds AS uuid[])) AND held_seat.hold_id = hold.id
          AND held_seat.until <= clock_timestamp()
        ORDER BY held_seat.show_id, held_seat.seat
        FOR UPDATE OF held_seat SKIP LOCKED
    )
    DELETE FROM held_seat USING due
    WHERE held_seat.show_id = due.show_id AND held_seat.seat = due.seat
      AND held_seat.hold_id = ANY(CAST(:holds AS uuid[]))
    RETURNING held_seat.hold_id, held_seat.seat
""")


async def expire_holds(db: Database) -> int:
    """Ends holds whose time has passed. Returns how many."""
    async with db.as_worker() as session:
        due = (await session.execute(EXPIRE, {"batch": BATCH})).all()
        if not due:
            return 0
        freed: dict[UUID, list[str]] = defaultdict(list)
        for row in await session.execute(FREE, {"holds": [hold.id for hold in due]}):
            freed[row.hold_id].append(row.seat)
        for hold in due:
            outbox.add(
                session,
                HoldReleased(
                    hold_id=hold.id,
                    show_id=hold.show_id,
                    seats=tuple(sorted(freed[hold.id])),
                    reason=HoldEnd.EXPIRED,
                ),
                organisation=hold.organisation,
                version=hold.version,
                correlation_id=str(hold.id),
            )
    metrics.HOLDS_ENDED.labels(HoldEnd.EXPIRED.value).inc(len(due))
    return len(due)
