"""The orders table of the back office: list, totals, export, ledger, students."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.responses import Response

from chassis.concurrency import IfMatch, set_etag
from chassis.edge import Caller, Tx
from chassis.logging import get_logger
from chassis.problems import raises
from chassis.texts import ONE_LINE
from contracts.money import Money
from services.orders.access import Config, Db, MoneyStaff, Staff
from services.orders.courses.commands import students
from services.orders.desk.exports import chosen, export_csv, export_xlsx
from services.orders.desk.listing import Filters, Page, Totals, already_paid, list_orders, totals
from services.orders.desk.saved_view import View, save_view, view_of
from services.orders.desk.views import OrderRow, row_view
from services.orders.errors import TooManyRows
from services.orders.order import ledger

router = APIRouter(tags=["orders"])
log = get_logger(__name__)


class OrderList(BaseModel):
    items: list[OrderRow]
    next: str | None


@router.get("/orders")
async def orders_table(page: Annotated[Page, Query()], caller: Staff, tx: Tx) -> OrderList:
    """The table (ORD-7..22). Without a status it shows what the default view says."""
    rows, cursor = await list_orders(tx, caller.staff_organisation, page)
    paid = await already_paid(tx, caller.staff_organisation, [order for order, _ in rows])
    items = [OrderRow(**row_view(order, quantity), already_paid=order.id in paid) for order, quantity in rows]
    return OrderList(items=items, next=cursor)


@router.get("/orders/totals")
async def orders_totals(filters: Annotated[Filters, Query()], caller: Staff, tx: Tx) -> Totals:
    """Income, orders, new unpaid orders and paid orders (ORD-14)."""
    return await totals(tx, caller.staff_organisation, filters)


@router.get("/orders/default-view")
async def read_view(caller: Staff, tx: Tx, response: Response) -> View:
    """Which stages the table shows where none is asked for."""
    view, version = await view_of(tx, caller.staff_organisation)
    set_etag(response, version)
    return view


@router.put("/orders/default-view")
async def write_view(view: View, caller: MoneyStaff, tx: Tx, seen: IfMatch, response: Response) -> View:
    """Saves it for the whole organisation (GAP-19)."""
    set_etag(response, await save_view(tx, caller.staff_organisation, view, seen, caller.actor))
    return view


TYPED = {"customer", "search", "ticket"}
"""Filters that hold what somebody typed: names and numbers of people, which belong in no log."""


class ExportFilters(Filters):
    delimiter: Literal[",", ";"] = ","
    """Spreadsheets of many European locales expect a semicolon."""


@router.get("/orders/export.csv", response_class=StreamingResponse)
@raises(TooManyRows)
async def export(
    filters: Annotated[ExportFilters, Query()], caller: Staff, db: Db, settings: Config
) -> StreamingResponse:
    """The table as filtered and sorted, up to EXPORT_ROWS orders (ORD-22, ORD-60)."""
    ids = await chosen(db, caller.staff_organisation, filters, settings.export_rows)
    _note(caller, filters, ids)
    return StreamingResponse(
        export_csv(db, caller.staff_organisation, ids, filters.delimiter),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="orders.csv"', "Cache-Control": "no-store"},
    )


@router.get("/orders/export.xlsx", response_class=StreamingResponse)
@raises(TooManyRows)
async def export_workbook(
    filters: Annotated[Filters, Query()], caller: Staff, db: Db, settings: Config
) -> StreamingResponse:
    """The same for Excel (ORD-60)."""
    ids = await chosen(db, caller.staff_organisation, filters, settings.export_rows)
    _note(caller, filters, ids)
    return StreamingResponse(
        export_xlsx(db, caller.staff_organisation, ids),
        media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        headers={"Content-Disposition": 'attachment; filename="orders.xlsx"', "Cache-Control": "no-store"},
    )


def _note(caller: Caller, filters: Filters, ids: list[UUID]) -> None:
    told = filters.model_dump(mode="json", exclude_defaults=True)
    told |= dict.fromkeys(TYPED & told.keys(), "withheld")
    log.info("orders exported", account_id=str(caller.account_id), filters=told, orders=len(ids))


class Balance(BaseModel):
    account: str
    balance: Money
    """A debit is positive."""
    entries: int


class LedgerView(BaseModel):
    balances: list[Balance]
    sum: int
    """Always zero: in every currency, what came from somewhere went somewhere."""


@router.get("/ledger")
async def ledger_balances(caller: Staff, tx: Tx) -> LedgerView:
    """Balances of the organisation's accounts: cash, held, buyer, sales."""
    rows = [Balance.model_validate(row) for row in await ledger.balances(tx, caller.staff_organisation)]
    return LedgerView(balances=rows, sum=sum(row.balance.minor for row in rows))


class Student(BaseModel):
    enrolment_id: UUID
    order_id: UUID
    offer_id: UUID
    course: str
    name: str
    email: str | None
    phone: str | None
    group: str | None


class StudentList(BaseModel):
    items: list[Student]
    next: None = None


@router.get("/enrolments")
async def student_list(
    caller: Staff,
    tx: Tx,
    offer_id: UUID | None = None,
    group: Annotated[str, Query(max_length=200), ONE_LINE] | None = None,
) -> StudentList:
    """The students, of one course or group or of all (ORD-50, REG-12)."""
    found = await students(tx, caller.staff_organisation, offer_id, group)
    items = [
        Student(
            enrolment_id=row.id,
            order_id=row.order_id,
            offer_id=row.offer_id,
            course=row.course,
            name=row.student_name,
            email=row.student_email,
            phone=row.student_phone,
            group=row.group_name,
        )
        for row in found
    ]
    return StudentList(items=items)
