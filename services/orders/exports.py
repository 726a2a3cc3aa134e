"""The filtered table as a file that a spreadsheet opens (ORD-60): streamed, and safe against formula injection."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import xlsxwriter
from sqlalchemy import func, select

from chassis.db import Database
from chassis.money import major
from contracts.orders import FunnelStage
from services.orders.listing import Filters, matching, sorted_by
from services.orders.models import Order, OrderLine
from services.orders.views import METHOD_LABELS, STAGE_LABELS

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
ROWS_AT_ONCE = 500
PIECE = 32_768
FORMULA_STARTS = "=+-@＝＋－＠"


def harmless(text: str) -> str:
    """Text that a spreadsheet does not take for a formula, whatever stands in front of it."""
    if (text[:1] in "\t\r" and text) or (text.lstrip()[:1] and text.lstrip()[0] in FORMULA_STARTS):
        return f"'{text}"
    return text


async def rows(db: Database, organisation: UUID, filters: Filters) -> AsyncIterator[list[Any]]:
    """The table as filtered and sorted, row by row, from a cursor in the database."""
    quantity = (
        select(func.coalesce(func.sum(OrderLine.quantity), 0)).where(OrderLine.order_id == Order.id).scalar_subquery()
    )
    statement = sorted_by(select(Order, quantity).where(*matching(organisation, filters)), filters.sort)
    async with db.for_organisation(organisation) as session:
        found = await session.stream(statement.execution_options(yield_per=ROWS_AT_ONCE))
        async for order, count in found:
            yield _row(order, count)


async def export_csv(db: Database, organisation: UUID, filters: Filters, delimiter: str = ",") -> AsyncIterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    buffer.write(BOM)
    writer.writerow(HEADINGS)
    async for row in rows(db, organisation, filters):
        writer.writerow([harmless(str(value)) if isinstance(value, str) else value for value in row])
        if buffer.tell() > PIECE:
            yield _take(buffer)
    yield _take(buffer)


async def export_xlsx(db: Database, organisation: UUID, filters: Filters) -> AsyncIterator[bytes]:
    """A workbook: text is written as text, so nothing in it is ever a formula; rows go through a temporary file."""
    with tempfile.TemporaryFile() as file:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        with xlsxwriter.Workbook(file, options) as book:
            sheet = book.add_worksheet("Orders")
            sheet.write_row(0, 0, HEADINGS, book.add_format({"bold": True}))
            number = 1
            async for row in rows(db, organisation, filters):
                for column, value in enumerate(row):
                    if isinstance(value, str):
                        sheet.write_string(number, column, value)
                    else:
                        sheet.write_number(number, column, float(value))
                number += 1
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


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
        STAGE_LABELS[order.stage or FunnelStage.INTERESTED.value][0],
        order.payment_status,
        METHOD_LABELS.get(order.payment_method or "", ""),
        major(order.money(order.paid)),
        major(order.money(order.refunded)),
        order.created_at.isoformat(timespec="seconds"),
        order.paid_at.isoformat(timespec="seconds") if order.paid_at else "",
    ]
