"""The contents of the read models, byte for byte."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.reporting.models import PROJECTIONS


async def contents(session: AsyncSession) -> dict[str, list[str]]:
    """Every row of every table as PostgreSQL prints it, in the order of its key."""
    found = {}
    for table in PROJECTIONS:
        key = next(iter(table.primary_key.columns)).name
        rows = await session.scalars(text(f"SELECT t::text FROM {table.name} t ORDER BY {key}"))
        found[table.name] = list(rows)
    return found


async def empty(session: AsyncSession) -> None:
    for table in PROJECTIONS:
        await session.execute(text(f"DELETE FROM {table.name}"))
