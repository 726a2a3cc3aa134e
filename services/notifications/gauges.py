"""Measures the queue of messages."""

from __future__ import annotations

from sqlalchemy import text

from chassis.db import Database
from services.notifications.metrics import OVERDUE, WAITING

QUEUE = text("""
    SELECT template, status, count(*) AS messages,
           coalesce(extract(epoch FROM now() - min(since)), 0)::float8 AS age
    FROM (
        SELECT template, status,
               CASE WHEN status = 'pending' THEN due_at
                    ELSE least(due_at, (SELECT min(started_at) FROM attempt WHERE message_id = message.message_id))
               END AS since
        FROM message WHERE status IN ('pending', 'sending')
    ) AS waiting
    GROUP BY template, status
""")
"""Each attempt moves `due_at`; a message has waited since the first of them began."""


def unsay() -> None:
    """Another replica measures from now on."""
    WAITING.clear()
    OVERDUE.set(0)


async def measure(db: Database) -> int:
    """Sets the gauges; a job that never has more to do."""
    async with db.as_worker() as session:
        rows = (await session.execute(QUEUE)).all()
    WAITING.clear()
    for row in rows:
        WAITING.labels(row.template, row.status).set(row.messages)
    OVERDUE.set(max([0.0, *(row.age for row in rows)]))
    return 0
