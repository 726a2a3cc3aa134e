"""Sums that stand beside what they sum: orders and income by stage, entries and balance by account of the ledger.

Triggers write each change in the transaction that makes it, as a row of its own, so nobody waits for a sum that others
change too; a job folds those rows into the sums. What both say together is exact at every moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Identity, func, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import SEEN, Database
from chassis.jobs import Job
from services.orders.base import Base

FOLD_SECONDS = 10.0


class Subject(StrEnum):
    STAGE = "stage"
    """Orders of a stage that were not deleted, and what was received for them less what was refunded."""
    ACCOUNT = "account"
    """Entries of an account of the ledger, and its balance."""


class Tally(Base):
    """Amounts are minor units; an order without a stage has the name ''."""

    __tablename__ = "tally"

    organisation: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    entries: Mapped[int]
    amount: Mapped[int]


class TallyChange(Base):
    """What is not folded yet."""

    __tablename__ = "tally_change"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    organisation: Mapped[UUID] = mapped_column(index=True)
    subject: Mapped[str]
    name: Mapped[str]
    currency: Mapped[str]
    entries: Mapped[int]
    amount: Mapped[int]


FOLD = text("""
    WITH folded AS (
        DELETE FROM tally_change RETURNING organisation, subject, name, currency, entries, amount
    )
    INSERT INTO tally (organisation, subject, name, currency, entries, amount)
    SELECT organisation, subject, name, currency, sum(entries), sum(amount)
    FROM folded GROUP BY organisation, subject, name, currency
    ORDER BY organisation, subject, name, currency
    ON CONFLICT (organisation, subject, name, currency) DO UPDATE
    SET entries = tally.entries + excluded.entries, amount = tally.amount + excluded.amount
""")


@dataclass(frozen=True, slots=True)
class Sum:
    name: str
    currency: str
    entries: int
    amount: int


async def sums(session: AsyncSession, organisation: UUID, subject: Subject) -> list[Sum]:
    """The sums of an organisation, by currency and name; those of nothing are left out."""
    parts = union_all(
        *(
            select(table.name, table.currency, table.entries, table.amount).where(
                table.organisation == organisation, table.subject == subject.value
            )
            for table in (Tally, TallyChange)
        )
    ).subquery()
    entries = func.sum(parts.c.entries)
    rows = await session.execute(
        select(parts.c.name, parts.c.currency, entries, func.sum(parts.c.amount))
        .group_by(parts.c.name, parts.c.currency)
        .having(entries != 0)
        .order_by(parts.c.currency, parts.c.name),
        execution_options=SEEN,
    )
    return [Sum(name, currency, int(count), int(amount)) for name, currency, count, amount in rows]


async def fold(db: Database) -> int:
    async with db.as_worker() as session:
        await session.execute(FOLD)
    return 0


def tally_jobs() -> list[Job]:
    return [Job("tally", FOLD_SECONDS, fold, alone=True)]
