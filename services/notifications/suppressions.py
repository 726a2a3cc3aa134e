"""Addresses that take no mail: an organisation writes to them only when its staff ask for it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.models import Suppression


async def suppress(session: AsyncSession, organisation: UUID, address: str, reason: str) -> None:
    """`address` is normalised; `reason` are the words of the server that knows no such address."""
    values = {"organisation": organisation, "address": address, "reason": reason}
    await session.execute(insert(Suppression).values(values).on_conflict_do_nothing())
