"""What a service forgets, and when: rows that nobody needs any more are deleted, or lose what they should not keep.

One replica does it, in small transactions, and nothing waits for it. What reports, the ledger or the law needs has no
rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import TextClause, text

from chassis import metrics
from chassis.db import Database
from chassis.jobs import Job
from chassis.settings import ServiceSettings

EVERY_SECONDS = 600.0
BATCH = 1_000

FORGET = """
    WITH gone AS (
        {change} WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM {table} WHERE {due} LIMIT :batch FOR UPDATE OF {table} SKIP LOCKED
        )) RETURNING 1
    )
    SELECT count(*) FROM gone
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows of `table` that are `due` go, `days` after.

    `due` is SQL with the parameter `:before`; an index answers it. With `erase`, the assignments of an UPDATE, they
    stay without what it takes away; then `due` must not be true of them any more.
    """

    table: str
    days: float
    due: str
    erase: str = ""

    @property
    def statement(self) -> TextClause:
        """Deletes or erases up to `:batch` rows, and counts them."""
        change = "UPDATE {table} SET {erase}" if self.erase else "DELETE FROM {table}"
        return text(FORGET.replace("{change}", change).format(table=self.table, due=self.due, erase=self.erase))


def of_every_service(settings: ServiceSettings) -> list[Rule]:
    """The chassis' own tables. What was published goes by itself: the relay drops its partitions (`relay.KEEP`)."""
    return [
        Rule("inbox", settings.inbox_days, "handled_at < :before"),
        Rule("idempotency_key", settings.idempotency_days, "created_at < :before"),
    ]


def retention_job(rules: Sequence[Rule]) -> Job:
    async def run(db: Database) -> int:
        return sum([await forget(db, rule) for rule in rules])

    return Job("retention", EVERY_SECONDS, run, alone=True)


async def forget(db: Database, rule: Rule, batch: int = BATCH) -> int:
    """One batch of a rule, in a transaction of its own; how many rows it was."""
    before = datetime.now(UTC) - timedelta(days=rule.days)
    async with db.as_worker() as session:
        count = int(await session.scalar(rule.statement, {"before": before, "batch": batch}) or 0)
    metrics.FORGOTTEN.labels(rule.table).inc(count)
    return count
