"""Exports while others work: none blocks the service, holds a connection for its reader, or is cut off in silence."""

from __future__ import annotations

import asyncio
import io
import time
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.orders import exports
from services.orders.errors import TooManyRows
from services.orders.exports import HEADINGS, chosen, export_csv, export_xlsx
from services.orders.listing import Filters
from tests.orders.stage import Stage

MANY = 5_000
ALL = Filters(all=True)


@pytest.fixture
async def many(stage: Stage) -> Stage:
    insert = text("""
        INSERT INTO orders (id, organisation, number, stage, currency, title)
        SELECT gen_random_uuid(), :organisation, 'X-' || n, 'awaiting_payment', 'UAH', 'Гамлет'
        FROM generate_series(1, :many) n
    """)
    async with stage.db.as_worker() as session:
        await session.execute(insert, {"organisation": stage.organisation, "many": MANY})
    return stage


async def longest_pause(work: Any) -> tuple[Any, float]:
    """What the work gives, and for how long nobody else could do anything."""
    longest, last, done = 0.0, time.perf_counter(), False

    async def tick() -> None:
        nonlocal longest, last
        while not done:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    result = await work
    done = True
    await ticking
    return result, longest


async def whole(parts: Any) -> bytes:
    return b"".join([part async for part in parts])


async def test_a_workbook_is_made_beside_the_service(
    many: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ids = await chosen(many.db, many.organisation, ALL, MANY)
    started = time.perf_counter()
    content, pause = await longest_pause(whole(export_xlsx(many.db, many.organisation, ids)))
    assert pause < (time.perf_counter() - started) / 4
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        assert book.read("xl/worksheets/sheet1.xml").count(b"<row ") == MANY + 1
    assert not list(tmp_path.iterdir())


async def test_a_reader_that_stops_in_the_middle_holds_nothing(
    many: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(exports, "PIECE", 1_000)
    ids = await chosen(many.db, many.organisation, ALL, MANY)
    slow: Any = export_csv(many.db, many.organisation, ids)
    await anext(slow)
    pool: Any = many.db.api.pool
    assert pool.checkedout() == 0, "no connection while the reader thinks"
    await slow.aclose()
    leaving: Any = export_xlsx(many.db, many.organisation, ids)
    await anext(leaving)
    await leaving.aclose()
    assert not list(tmp_path.iterdir())


async def test_an_order_that_goes_meanwhile_is_left_out_and_none_comes_twice(many: Stage) -> None:
    ids = await chosen(many.db, many.organisation, Filters(all=True, sort="number"), MANY)
    parts = export_csv(many.db, many.organisation, [*ids, uuid4()])
    first = await anext(parts)
    change = text("UPDATE orders SET number = '0' || number WHERE id = :id")
    async with many.db.as_worker() as session:
        await session.execute(change, {"id": ids[-1]})
    lines = (first + await whole(parts)).decode("utf-8-sig").splitlines()
    assert lines[0].split(",") == list(HEADINGS)
    assert len(lines) == MANY + 1
    assert lines[-1].startswith("0X-"), "it stays in its place"


async def test_more_than_the_limit_is_refused_and_the_limit_told(many: Stage) -> None:
    with pytest.raises(TooManyRows) as error:
        await chosen(many.db, many.organisation, ALL, MANY - 1)
    assert error.value.extra == {"limit": MANY - 1}
    many.settings.export_rows = 10
    for file in ("csv", "xlsx"):
        refused = await many.staff("GET", f"/orders/export.{file}?all=true")
        assert (refused.status, refused.json["type"], refused.json["limit"]) == (422, "/problems/too-many-rows", 10)
    many.settings.export_rows = 100_000
    assert UUID(int=0) not in await chosen(many.db, many.organisation, ALL, MANY)
