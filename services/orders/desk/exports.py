"""The filtered table as a file that a spreadsheet opens (ORD-60): streamed, and safe against formula injection.

Which orders it has is settled before the first byte. Their rows are read in short transactions, as they are then: a
slow reader holds no connection, and a long file blocks nobody. A workbook is made in a thread, and sent when it is
whole.
"""

from __future__ import annotations

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from unicodedata import category
from uuid import UUID

import xlsxwriter
from sqlalchemy import func, select

from chassis.db import SEEN, Database
from chassis.money import major
from services.orders.desk.listing import Filters, language_of, matching, sorted_by
from services.orders.desk.saved_view import view_of
from services.orders.errors import TooManyRows
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
BOM = "\ufeff"
"""Without it spreadsheets garble Cyrillic and Polish letters."""
ROWS_AT_ONCE = 250
PIECE = 262_144
FORMULA_STARTS = "=+-@＝＋－＠"
INVISIBLE = ("Cc", "Cf")
"""Control and format characters, such as a byte order mark: programs drop them in front of a formula."""

_building = asyncio.Semaphore(2)
"""Workbooks made at once: it is processor time, and more would only make everybody wait longer."""


def harmless(text: str) -> str:
    """Text that a spreadsheet does not take for a formula, whatever stands in front of it."""
    seen = next((letter for letter in text if not letter.isspace() and category(letter) not in INVISIBLE), None)
    if text.startswith(("\t", "\r")) or (seen and seen in FORMULA_STARTS):
        return f"'{text}"
    return text


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


async def rows(db: Database, organisation: UUID, ids: Sequence[UUID]) -> AsyncIterator[list[list[Any]]]:
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
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    buffer.write(BOM)
    writer.writerow(HEADINGS)
    async for part in rows(db, organisation, ids):
        writer.writerows([harmless(value) if isinstance(value, str) else value for value in row] for row in part)
        yield _take(buffer)
    yield _take(buffer)


async def export_xlsx(db: Database, organisation: UUID, ids: Sequence[UUID]) -> AsyncIterator[bytes]:
    """A workbook: text is written as text, so nothing in it is ever a formula; rows go through temporary files."""
    with tempfile.TemporaryDirectory(prefix="footlights-export-") as folder:
        file = Path(folder) / "orders.xlsx"
        async with _building:
            sheet = Sheet(file)
            async for part in rows(db, organisation, ids):
                await asyncio.to_thread(sheet.write, part)
            await asyncio.to_thread(sheet.close)
        with file.open("rb") as made:
            while piece := await asyncio.to_thread(made.read, PIECE):
                yield piece


class Sheet:
    """The workbook while it grows. Not closed, it leaves nothing but files in its folder."""

    def __init__(self, file: Path) -> None:
        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "tmpdir": str(file.parent),
        }
        self._book = xlsxwriter.Workbook(str(file), options)
        self._sheet = self._book.add_worksheet("Orders")
        self._sheet.write_row(0, 0, HEADINGS, self._book.add_format({"bold": True}))
        self._next = 1

    def write(self, part: list[list[Any]]) -> None:
        for row in part:
            for column, value in enumerate(row):
                if isinstance(value, str):
                    self._sheet.write_string(self._next, column, value)
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


def _row(order: Order, quantity: int) -> list[Any]:
    return [
        order.number,
        order.customer_name or "",
        order.customer_email or "",
        # A leading plus would be taken for a formula; without it the number stays whole.
        (order.customer_phone or "").lstrip("+"),
        order.title,
        int(quantity),
        major(order.money(order.total)),
        order.currency,
        label_of(order)[0],
        order.payment_status,
        METHOD_LABELS.get(order.payment_method or "", ""),
        major(order.money(order.paid)),
        major(order.money(order.refunded)),
        order.created_at.isoformat(timespec="seconds"),
        order.paid_at.isoformat(timespec="seconds") if order.paid_at else "",
    ]
