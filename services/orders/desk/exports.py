"""The filtered table as a file that a spreadsheet opens (ORD-60): streamed, and safe against formula injection.

Which orders it has is settled before the first byte. Their rows are read in short transactions, as they are then: a
slow reader holds no connection, and a long file blocks nobody. A workbook is made in a thread, and sent when it is
whole.
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from unicodedata import category
from uuid import UUID
from zoneinfo import ZoneInfo

import xlsxwriter
from sqlalchemy import func, select

from chassis import wall_clock
from chassis.db import SEEN, Database
from chassis.money import major
from services.orders.desk.listing import Filters, language_of, matching, sorted_by
from services.orders.desk.saved_view import view_of
from services.orders.errors import TooManyRows
from services.orders.known import Organisation
from services.orders.order.status import METHOD_LABELS, label_of
from services.orders.order.tables import Order, OrderLine

HEADINGS = (
    "Order",
    "Client",
    "E-mail",
    "Phone",
    "Product",
    "Quantity",
    "Price",
    "Currency",
    "Status",
    "Payment status",
    "Payment method",
    "Received",
    "Refunded",
    "Created",
    "Paid at",
)
Cell = str | int | Decimal | datetime
BOM = "\ufeff"
"""Without it spreadsheets garble Cyrillic and Polish letters."""
ROWS_AT_ONCE = 250
PIECE = 262_144
MOMENT_WIDTH = 17
"""Letters; a narrower column shows a date as ####."""
FORMULA_STARTS = "=+-@＝＋－＠"
FORMULA_BEHIND = re.compile(
    rf"((?:[;,|]|(?<=\S)\t)[\s\u00ad\u200b-\u200f\u2060\ufeff\"]*)(?=[{re.escape(FORMULA_STARTS)}])"
)
"""A part that begins a cell, for a program whose separator is another one than the file's."""
INVISIBLE = ("Cc", "Cf")
"""Control and format characters, such as a byte order mark: programs drop them in front of a formula."""

_building = asyncio.Semaphore(2)
"""Workbooks made at once: it is processor time, and more would only make everybody wait longer."""


def harmless(text: str) -> str:
    """Text that a spreadsheet does not take for a formula, whatever stands in front of it."""
    seen = next((letter for letter in text if not letter.isspace() and category(letter) not in INVISIBLE), None)
    disarmed = FORMULA_BEHIND.sub(r"\1'", text)
    if text.startswith(("\t", "\r")) or (seen and seen in FORMULA_STARTS):
        return f"'{disarmed}"
    return disarmed


async def chosen(db: Database, organisation: UUID, filters: Filters, limit: int) -> list[UUID]:
    """The orders of an export in their order. Raises `TooManyRows`."""
    async with db.for_organisation(organisation) as session:
        view, _ = await view_of(session, organisation)
        language = await language_of(session, organisation)
        statement = sorted_by(select(Order.id).where(*matching(organisation, filters, view)), filters.sort, language)
        ids = list(await session.scalars(statement.limit(limit + 1), execution_options=SEEN))
    if len(ids) > limit:
        raise TooManyRows(f"These are more than {limit} orders. Export them in parts, such as by date.", limit=limit)
    return ids


async def rows(db: Database, organisation: UUID, ids: Sequence[UUID]) -> AsyncIterator[list[list[Cell]]]:
    """The rows of the table, some at a time."""
    quantity = (
        select(func.coalesce(func.sum(OrderLine.quantity), 0)).where(OrderLine.order_id == Order.id).scalar_subquery()
    )
    for start in range(0, len(ids), ROWS_AT_ONCE):
        part = ids[start : start + ROWS_AT_ONCE]
        statement = select(Order, quantity).where(Order.organisation == organisation, Order.id.in_(part))
        async with db.for_organisation(organisation) as session:
            found = {
                order.id: _row(order, count)
                for order, count in await session.execute(statement, execution_options=SEEN)
            }
        yield [found[order_id] for order_id in part if order_id in found]


async def export_csv(
    db: Database, organisation: UUID, ids: Sequence[UUID], delimiter: str = ","
) -> AsyncIterator[bytes]:
    """Every text is quoted. With a semicolon, decimals and dates are as spreadsheets with that separator read them."""
    clock = await _clock(db, organisation)
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC)
    buffer.write(BOM)
    writer.writerow(HEADINGS)
    async for part in rows(db, organisation, ids):
        writer.writerows([_csv_cell(value, delimiter, clock) for value in row] for row in part)
        yield _take(buffer)
    yield _take(buffer)


def _csv_cell(value: Cell, delimiter: str, clock: ZoneInfo) -> str | int | Decimal:
    if isinstance(value, datetime):
        return value.astimezone(clock).strftime("%d.%m.%Y %H:%M" if delimiter == ";" else "%Y-%m-%d %H:%M")
    if isinstance(value, Decimal) and delimiter == ";":
        return str(value).replace(".", ",")
    return harmless(value) if isinstance(value, str) else value


async def _clock(db: Database, organisation: UUID) -> ZoneInfo:
    """Days of a file are those of the reports: the organisation's."""
    async with db.for_organisation(organisation) as session:
        known = await session.get(Organisation, organisation)
        return wall_clock.zone(known.time_zone if known else None)


async def export_xlsx(db: Database, organisation: UUID, ids: Sequence[UUID]) -> AsyncIterator[bytes]:
    """A workbook: text is written as text, so nothing in it is ever a formula; rows go through temporary files."""
    with tempfile.TemporaryDirectory(prefix="footlights-export-") as folder:
        file = Path(folder) / "orders.xlsx"
        clock = await _clock(db, organisation)
        async with _building:
            sheet = Sheet(file, clock)
            async for part in rows(db, organisation, ids):
                await asyncio.to_thread(sheet.write, part)
            await asyncio.to_thread(sheet.close)
        with file.open("rb") as made:
            while piece := await asyncio.to_thread(made.read, PIECE):
                yield piece


class Sheet:
    """The workbook while it grows. Not closed, it leaves nothing but files in its folder."""

    def __init__(self, file: Path, clock: ZoneInfo) -> None:
        self._clock = clock
        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "tmpdir": str(file.parent),
        }
        self._book = xlsxwriter.Workbook(str(file), options)
        self._sheet = self._book.add_worksheet("Orders")
        self._sheet.write_row(0, 0, HEADINGS, self._book.add_format({"bold": True}))
        self._moment = self._book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
        self._sheet.set_column(HEADINGS.index("Created"), HEADINGS.index("Paid at"), MOMENT_WIDTH)
        self._next = 1

    def write(self, part: list[list[Cell]]) -> None:
        for row in part:
            for column, value in enumerate(row):
                if isinstance(value, str):
                    self._sheet.write_string(self._next, column, value)
                elif isinstance(value, datetime):
                    local = value.astimezone(self._clock).replace(tzinfo=None)
                    self._sheet.write_datetime(self._next, column, local, self._moment)
                else:
                    self._sheet.write_number(self._next, column, float(value))
            self._next += 1

    def close(self) -> None:
        self._book.close()


def _take(buffer: io.StringIO) -> bytes:
    piece = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return piece


def _row(order: Order, quantity: int) -> list[Cell]:
    return [
        order.number,
        order.customer_name or "",
        order.customer_email or "",
        order.customer_phone or "",
        order.title,
        int(quantity),
        major(order.money(order.total)),
        order.currency,
        label_of(order)[0],
        order.payment_status,
        METHOD_LABELS.get(order.payment_method or "", ""),
        major(order.money(order.paid)),
        major(order.money(order.refunded)),
        order.created_at,
        order.paid_at or "",
    ]
