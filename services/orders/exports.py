"""The filtered table as a file that a spreadsheet opens (ORD-60): streamed, and safe against formula injection."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

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
FORMULA_STARTS = "=+-@＝＋－＠"


def harmless(text: str) -> str:
    """Text that a spreadsheet does not take for a formula, whatever stands in front of it."""
    if (text[:1] in "\t\r" and text) or (text.lstrip()[:1] and text.lstrip()[0] in FORMULA_STARTS):
        return f"'{text}"
    return text


async def export_csv(db: Database, organisation: UUID, filters: Filters, delimiter: str = ",") -> AsyncIterator[bytes]:
    """The table as filtered and sorted, piece by piece, from a cursor in the database."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    buffer.write(BOM)
    writer.writerow(HEADINGS)
    quantity = (
        select(func.coalesce(func.sum(OrderLine.quantity), 0)).where(OrderLine.order_id == Order.id).scalar_subquery()
    )
    statement = sorted_by(select(Order, quantity).where(*matching(organisation, filters)), filters.sort)
    async with db.for_organisation(organisation) as session:
        rows = await session.stream(statement.execution_options(yield_per=ROWS_AT_ONCE))
        async for order, count in rows:
            writer.writerow([harmless(str(value)) if isinstance(value, str) else value for value in _row(order, count)])
            if buffer.tell() > 32_768:
                yield _take(buffer)
    yield _take(buffer)


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
