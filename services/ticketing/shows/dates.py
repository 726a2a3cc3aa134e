"""When a show may begin: a wrong date ends its sale, and then the show."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ticketing.errors import ConfirmFirst, DateIsPast
from services.ticketing.holds.seats import database_now
from services.ticketing.holds.tables import HeldSeatRow
from services.ticketing.shows.tables import AreaRow, Show

SOON = timedelta(hours=1)


async def must_be_ahead(session: AsyncSession, starts_at: datetime) -> None:
    """Raises `DateIsPast`, by the database's clock."""
    now = await database_now(session)
    if starts_at <= now:
        raise DateIsPast(f"{_said(starts_at)} is past: it is {_said(now)}. Give the show a date that is ahead.")


async def ask_first(session: AsyncSession, show: Show, moved: datetime) -> None:
    """Raises `ConfirmFirst` if people have seats for the date that a show shall no longer have, or its sale would end
    within the hour."""
    warnings = []
    taken = await session.scalar(select(func.count()).where(HeldSeatRow.show_id == show.id)) or 0
    taken += await session.scalar(select(func.sum(AreaRow.taken)).where(AreaRow.show_id == show.id)) or 0
    if taken:
        warnings.append(f"{taken} seats are held or sold for {_said(show.starts_at)}.")
    if moved <= await database_now(session) + SOON:
        warnings.append("The sale would end within the hour, when the show begins.")
    if warnings:
        raise ConfirmFirst(
            f"{' '.join(warnings)} Shall the show begin at {_said(moved)}? Send the change again with `confirm`: true.",
            warnings=warnings,
        )


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
