"""An event takes effect once per consumer: its id is recorded in the transaction of its effects."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Ids are inserted in one order, so two replicas that were given the same records wait for each other, never deadlock.
# Only what was seen before is returned: that is almost always nothing.
RECORD = text("""
    WITH given AS (SELECT id FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY id),
    new AS (
        INSERT INTO inbox (consumer, event_id) SELECT :consumer, id FROM given
        ON CONFLICT DO NOTHING RETURNING event_id
    )
    SELECT id FROM given EXCEPT SELECT event_id FROM new
""")


async def record(session: AsyncSession, consumer: str, ids: Iterable[UUID]) -> set[UUID]:
    """Records the ids and returns those not seen before. Waits for a transaction that is recording the same ones."""
    given = set(ids)
    seen = await session.scalars(RECORD, {"consumer": consumer, "ids": list(given)})
    return given.difference(seen)
