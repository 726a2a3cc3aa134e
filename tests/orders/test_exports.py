"""Exports are the table as filtered, block nobody, hold no connection for a slow reader, and end early never unsaid."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from contracts import orders
from services.orders.desk import exports
from services.orders.desk.exports import HEADINGS, ROWS_AT_ONCE, Sheet, chosen, export_csv, export_xlsx, harmless
from services.orders.desk.listing import Filters
from services.orders.errors import TooManyRows
from tests.harness import beside, eventually
from tests.orders.desk import entered_by_staff, listed, placed
from tests.orders.stage import Stage

MANY = 5_000
NUMBER = r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b"
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


async def whole(parts: Any) -> bytes:
    return b"".join([part async for part in parts])


async def test_a_workbook_is_made_beside_the_service(
    many: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[bool] = []
    monkeypatch.setattr(Sheet, "write", beside(Sheet.write, seen))
    monkeypatch.setattr(Sheet, "close", beside(Sheet.close, seen))
    ids = await chosen(many.db, many.organisation, ALL, MANY)
    content = await whole(export_xlsx(many.db, many.organisation, ids))
    assert len(seen) == MANY / ROWS_AT_ONCE + 1
    assert all(seen), "the event loop did nothing else meanwhile"
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
    assert next(csv.reader(lines)) == list(HEADINGS)
    assert len(lines) == MANY + 1
    assert lines[-1].startswith('"0X-'), "it stays in its place"


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


@pytest.mark.shows("ORD-20", "ORD-22", "ORD-60", "RPT-2", "RPT-3")
async def test_the_export_is_the_table_as_filtered_and_sorted(stage: Stage) -> None:
    """The way of ORD-20: one offer, every status, sorted by user; then the table is exported."""
    show = uuid4()
    for number, name in enumerate(("Ганна", "борис", "Андрій")):
        customer = {"name": name, "email": f"{number}@example.com"}
        last = await placed(stage, show_id=show, customer=customer, price=10_000 + number)
    await stage.staff("POST", f"/orders/{last}/mark-paid")
    await placed(stage)
    await entered_by_staff(stage, "Юрій")
    every_status = "&".join(f"stage={one.value}" for one in orders.FunnelStage)
    for narrowed, count in ((f"show_id={show}", 3), ("", 5)):
        for sort in ("user", "-user", "status", "-total", "number", "created_at", "-title"):
            query = f"?{every_status}&{narrowed}&sort={sort}"
            table = [row["number"] for row in await listed(stage, query)]
            assert len(table) == count
            as_csv = (await stage.staff("GET", f"/orders/export.csv{query}")).text.removeprefix("\ufeff")
            assert [row["Order"] for row in csv.DictReader(io.StringIO(as_csv))] == table
            workbook = await stage.staff("GET", f"/orders/export.xlsx{query}")
            assert re.findall(NUMBER, sheet_of(workbook.body)) == table
    by_user = await listed(stage, f"?{every_status}&show_id={show}&sort=user")
    assert [row["customer"]["name"] for row in by_user] == ["Андрій", "борис", "Ганна"]


def sheet_of(workbook: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        return archive.read("xl/worksheets/sheet1.xml").decode()


@pytest.mark.parametrize("before", ["", " ", "  \t", "\n", "\r\n", "\u00a0", "\u3000", "\ufeff", "\u200b"])
@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_whatever_stands_before_a_formula(before: str, start: str) -> None:
    """Spreadsheets strip some of it, so the first character that is seen counts."""
    assert harmless(f"{before}{start}1+1") == f"'{before}{start}1+1"


@pytest.mark.parametrize("text", ["", " ", "Ольга", "a=1", " a-b", "1-2"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize("text", ["\t1", "\r1", "\t", "\t\t=1"])
def test_a_cell_never_begins_with_a_tab_or_a_new_line(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "disarmed"),
    [
        ("Ada;=1+1", "Ada;'=1+1"),
        ("Ada,+1", "Ada,'+1"),
        ("Ada\t@x", "Ada\t'@x"),
        (";=1", ";'=1"),
        ("a; \u200b=1|-2", "a; \u200b'=1|'-2"),
        ('Ada;"=1+1"', 'Ada;"\'=1+1"'),
        ("Ada; Lovelace", "Ada; Lovelace"),
    ],
)
def test_a_part_behind_another_separator_is_no_formula(text: str, disarmed: str) -> None:
    assert harmless(text) == disarmed


async def test_days_of_a_file_are_the_organisations(stage: Stage) -> None:
    order = await placed(stage, customer={"name": "Ада", "phone": "067 111 99 99"})
    async with stage.db.as_worker() as session:
        late = text("UPDATE orders SET created_at = '2026-11-27T22:07:21Z' WHERE id = :id")
        await session.execute(late, {"id": order})

    async def check() -> bool:
        # As soon as the organisation's zone is known.
        european = (await stage.staff("GET", "/orders/export.csv?all=true&delimiter=;")).text
        plain = (await stage.staff("GET", "/orders/export.csv?all=true")).text
        sheet = sheet_of((await stage.staff("GET", "/orders/export.xlsx?all=true")).body)
        assert '"28.11.2026 00:07"' in european
        assert '"2026-11-28 00:07"' in plain
        assert "250.00" in plain
        assert "<v>46354.00" in sheet, "the day as a number, which a spreadsheet shows as a date"
        assert "+380671119999" in sheet
        return True

    await eventually(check)


async def test_an_export_is_harmless(stage: Stage) -> None:
    evil = '=HYPERLINK("http://evil.example";"click")'
    await placed(stage, customer={"name": evil, "phone": "+380671234567"})
    await placed(stage, customer={"name": "  +1", "email": "plus@example.com"})
    await placed(stage, customer={"name": "Ольга Кобилянська", "email": "olha@example.com"})
    answer = await stage.staff("GET", "/orders/export.csv?stage=awaiting_payment&sort=created_at&delimiter=;")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.body.startswith(b"\xef\xbb\xbf")
    lines = answer.text.removeprefix("\ufeff").split("\r\n")
    assert lines[0].startswith('"Order";"Client";"E-mail";"Phone";"Product";"Quantity";"Price";')
    names = [row["Client"] for row in csv.DictReader(lines, delimiter=";")]
    assert names == ['\'=HYPERLINK("http://evil.example";"click")', "'+1", "Ольга Кобилянська"]
    assert ';"\'+380671234567";' in lines[1]
    assert ';"250,00";"UAH";"New";' in lines[3]
    for line in lines[1:4]:
        assert re.fullmatch(r"\d\d\.\d\d\.20\d\d \d\d:\d\d", next(csv.reader([line], delimiter=";"))[13]), line
    filtered = await stage.staff("GET", "/orders/export.csv?customer=olha&all=true")
    assert filtered.text.count("\r\n") == 2
    workbook = await stage.staff("GET", "/orders/export.xlsx?stage=awaiting_payment&sort=created_at")
    sheet = sheet_of(workbook.body)
    assert "<f>" not in sheet
    assert sheet.index("HYPERLINK") < sheet.index("+1") < sheet.index("Ольга Кобилянська")
    assert "<v>250</v>" in sheet
