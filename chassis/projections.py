"""Rows that a service keeps of other services' events: of each aggregate the newest state, in whatever order and
however often its events come."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import inspect
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import ServiceBase
from chassis.texts import without_nul
from contracts.envelope import Event

Age = tuple[int, datetime, UUID]


def age(event: Event[Any]) -> Age:
    """Of two events of an aggregate the newer has the greater one; no two have the same."""
    return event.aggregate_version, event.time, event.id


async def keep_newest(session: AsyncSession, table: type[ServiceBase], row: dict[str, Any]) -> bool:
    """Inserts the row or overwrites the one with its primary key, unless that has a greater `version`; whether it did.

    NUL characters are taken out of texts. Objects that the session has loaded are not refreshed.
    """
    columns = inspect(table).local_table.c
    keys = [column for column in columns if column.primary_key]
    statement = insert(table).values(
        {name: without_nul(value) if isinstance(value, str) else value for name, value in row.items()}
    )
    kept = statement.on_conflict_do_update(
        index_elements=keys,
        set_={name: statement.excluded[name] for name in row if not columns[name].primary_key},
        where=columns.version <= statement.excluded.version,
    ).returning(columns.version)
    return await session.scalar(kept) is not None
