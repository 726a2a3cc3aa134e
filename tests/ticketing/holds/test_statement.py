"""The hot statement of holds, against the tables."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.ticketing.holds import statement
from services.ticketing.models import Base


@pytest.mark.parametrize("sql", [statement.TAKE_SEATS, statement.FIND_HOLDS, statement.SESSION])
async def test_the_hot_statements_fit_the_tables(db, sql):
    """PostgreSQL prepares them against the migrated tables, and every table and column they write is mapped."""
    connection = await db.pin()
    try:
        await connection.prepare(sql)
    finally:
        await connection.close()
    for name, columns in re.findall(r"INSERT INTO (\w+) \(([^)]*)\)", sql):
        mapped = Base.metadata.tables[name]
        written = {column.strip() for column in columns.split(",")}
        assert written <= set(mapped.columns.keys())
        needed = {c.name for c in mapped.columns if not c.nullable and c.server_default is None and c.identity is None}
        assert needed <= written
    for name in re.findall(r"(?:FROM|JOIN|UPDATE) (held_seat|hold|show|outbox)\b", sql):
        assert name in Base.metadata.tables


async def test_the_statement_uses_indexes_however_small_the_tables_were(db):
    connection = await db.pin()
    try:
        await connection.fetchrow(statement.SESSION)
        prepared = await connection.prepare("EXPLAIN (FORMAT JSON) " + statement.TAKE_SEATS)
        empty: dict[str, Any] = {"text": ""}
        given = [empty.get(parameter.name, []) for parameter in prepared.get_parameters()]
        explained = str(await prepared.fetchval(*given))
    finally:
        await connection.close()
    assert "Seq Scan" not in explained
    assert '"pk_held_seat"' in explained
