"""The orders table: filters, sorting, search, pages and totals (sections 1.1 and 1.2; GAP-19)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import Boolean, ColumnElement, Select, exists, func, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from chassis.alphabets import CYRILLIC_FIRST, SCRIPT_BEGINS
from chassis.db import SEEN
from chassis.pages import cut, moment, read_cursor
from chassis.people import ANYWHERE
from chassis.search import matches
from chassis.texts import STORABLE, like
from contracts.orders import FunnelStage, PaymentMethod, PaymentStatus
from services.orders.desk.saved_view import View, view_of
from services.orders.known import Organisation
from services.orders.order.tables import Order, OrderLine, Searched
from services.orders.order.tally import Subject, Sum, sums

PAID = FunnelStage.PAID.value


class Sort(StrEnum):
    """A leading minus sorts the greatest first."""

    NEWEST = "-created_at"
    OLDEST = "created_at"
    USER = "user"
    USER_DOWN = "-user"
    TOTAL = "total"
    TOTAL_DOWN = "-total"
    STATUS = "status"
    STATUS_DOWN = "-status"
    NUMBER = "number"
    NUMBER_DOWN = "-number"
    TITLE = "title"
    TITLE_DOWN = "-title"


COLUMNS: dict[str, ColumnElement[Any] | InstrumentedAttribute[Any]] = {
    "created_at": Order.created_at,
    "user": Order.customer_sort,
    "total": Order.total,
    "status": func.coalesce(Order.stage, literal_column("''")),
    "number": Order.number,
    "title": Order.title_sort,
}
SCRIPTS: dict[str, ColumnElement[bool]] = {
    name: literal_column(f"(orders.{column} < '~'::text)", Boolean)
    for name, column in (("user", "customer_sort"), ("title", "title_sort"))
}
"""False for names in Cyrillic, so that they come first; as the index has it."""
KINDS: dict[str, Callable[[Any], Any]] = {"created_at": moment, "total": int}
"""What a column's value in a cursor is; the others are text."""


Words = Annotated[str, STORABLE]


class Filters(BaseModel):
    """Each field narrows what the table shows; several apply together (ORD-16, ORD-17)."""

    model_config = ConfigDict(extra="forbid")

    stage: list[FunnelStage] = []
    """Several statuses at once (ORD-18)."""
    status: list[PaymentStatus] = []
    payment_method: list[PaymentMethod] = []
    show_id: UUID | None = None
    offer_id: UUID | None = None
    ticket: Words | None = None
    """Name of the price zone."""
    customer: Words | None = None
    """Part of the name, e-mail or phone of the customer."""
    search: Words | None = None
    """Order number, customer or participant data, payment reference (ORD-21)."""
    refund_due: bool | None = None
    """Whether staff must still send money back by hand."""
    disputed: bool | None = None
    """Whether banks have taken money until they decide."""
    created_from: AwareDatetime | None = None
    created_to: AwareDatetime | None = None
    """With an offset: a bare time would be read on the server's clock."""
    ids: list[UUID] = []
    """Selected rows."""
    all: bool = False
    """Also what the default view leaves out."""
    sort: Sort = Sort.NEWEST


class Page(Filters):
    limit: Annotated[int, Query(ge=1, le=200)] = 50
    cursor: str | None = None


def matching(organisation: UUID, filters: Filters, view: View | None = None) -> list[ColumnElement[bool]]:
    """The conditions of a filter. Without a status, what the organisation's default `view` shows (ORD-7, GAP-19)."""
    conditions: list[ColumnElement[bool]] = [Order.organisation == organisation, Order.deleted_at.is_(None)]
    if filters.stage:
        conditions.append(Order.stage.in_([stage.value for stage in filters.stage]))
    if filters.status:
        conditions.append(Order.payment_status.in_([status.value for status in filters.status]))
    chosen = filters.stage or filters.status or filters.ids or filters.refund_due or filters.disputed
    if view is not None and not (chosen or filters.all):
        conditions.append(view.condition())
    if filters.search:
        conditions.append(Order.id.in_(matches(Searched, organisation, filters.search, ANYWHERE)))
    return conditions + _narrowed(filters)


def _narrowed(filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.payment_method:
        conditions.append(Order.payment_method.in_([method.value for method in filters.payment_method]))
    if filters.show_id:
        conditions.append(Order.show_id == filters.show_id)
    if filters.offer_id:
        conditions.append(Order.offer_id == filters.offer_id)
    if filters.ticket:
        conditions.append(_has_line(OrderLine.zone == filters.ticket))
    if filters.customer:
        conditions.append(_customer(filters.customer))
    if filters.refund_due is not None:
        conditions.append(Order.refund_due > 0 if filters.refund_due else Order.refund_due == 0)
    if filters.disputed is not None:
        conditions.append(Order.disputed > 0 if filters.disputed else Order.disputed == 0)
    if filters.created_from:
        conditions.append(Order.created_at >= filters.created_from)
    if filters.created_to:
        conditions.append(Order.created_at < filters.created_to)
    if filters.ids:
        conditions.append(Order.id.in_(filters.ids))
    return conditions


def _has_line(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(OrderLine.order_id == Order.id, condition)


def _like(column: Any, text: str) -> ColumnElement[bool]:
    return column.ilike(like(text.strip()))  # type: ignore[no-any-return]


def _customer(text: str) -> ColumnElement[bool]:
    columns = (Order.customer_name, Order.customer_email, Order.customer_phone)
    return or_(*(_like(column, text) for column in columns))


def sorted_by(statement: Select[Any], sort: Sort, language: str) -> Select[Any]:
    """In the order of a column; of names, in that of the organisation's language."""
    keys = (*_scripts(sort, language), COLUMNS[sort.value.lstrip("-")], Order.id)
    return statement.order_by(*(key.desc() if _descends(sort) else key for key in keys))


def _after(cursor: str, sort: Sort, language: str) -> ColumnElement[bool]:
    """What follows the last row of a page."""
    name = sort.value.lstrip("-")
    last, ident = read_cursor(cursor, KINDS.get(name, str))
    scripts = _scripts(sort, language)
    keys = tuple_(*scripts, COLUMNS[name], Order.id)
    values = (*(last < SCRIPT_BEGINS for _ in scripts), last, ident)
    return keys < values if _descends(sort) else keys > values


def _scripts(sort: Sort, language: str) -> list[ColumnElement[bool]]:
    script = SCRIPTS.get(sort.value.lstrip("-"))
    return [script] if script is not None and language in CYRILLIC_FIRST else []


def _descends(sort: Sort) -> bool:
    return sort.value.startswith("-")


async def language_of(session: AsyncSession, organisation: UUID) -> str:
    known = await session.get(Organisation, organisation)
    return known.locale if known else ""


async def list_orders(
    session: AsyncSession, organisation: UUID, page: Page
) -> tuple[list[tuple[Order, int]], str | None]:
    """A page of the table with each order's quantity, and the cursor of the next one."""
    column, language = COLUMNS[page.sort.value.lstrip("-")], await language_of(session, organisation)
    quantity = (
        select(func.coalesce(func.sum(OrderLine.quantity), 0)).where(OrderLine.order_id == Order.id).scalar_subquery()
    )
    view, _ = await view_of(session, organisation)
    statement = select(Order, quantity, column.label("sorted")).where(*matching(organisation, page, view))
    if page.cursor:
        statement = statement.where(_after(page.cursor, page.sort, language))
    statement = sorted_by(statement, page.sort, language).limit(page.limit + 1)
    found = (await session.execute(statement, execution_options=SEEN)).all()
    shown, more = cut(found, page.limit, lambda row: (row.sorted, row.Order.id))
    return [(order, int(count)) for order, count, _ in shown], more


async def already_paid(session: AsyncSession, organisation: UUID, orders: list[Order]) -> set[UUID]:
    """Orders whose customer has another paid order of the same show or offer (ORD-36)."""
    ids = [order.id for order in orders]
    if not ids:
        return set()
    other = aliased(Order)
    bought = func.coalesce(Order.show_id, Order.offer_id)
    also_bought = func.coalesce(other.show_id, other.offer_id)

    def paid_by(contact: str) -> ColumnElement[bool]:
        # One subquery for each way to know a person, so that each finds its index.
        return exists().where(
            other.organisation == organisation,
            other.stage == literal_column(f"'{PAID}'"),
            getattr(other, contact) == getattr(Order, contact),
            also_bought == bought,
            other.id != Order.id,
        )

    statement = select(Order.id).where(
        Order.organisation == organisation,
        Order.id.in_(ids),
        or_(paid_by("customer_email"), paid_by("customer_phone")),
    )
    return set(await session.scalars(statement, execution_options=SEEN))


class Income(BaseModel):
    minor: int
    currency: str


class Totals(BaseModel):
    """The four totals above the list (ORD-14)."""

    income: list[Income]
    """Received less refunded, per currency."""
    orders: int
    new_unpaid: int
    paid: int


async def totals(session: AsyncSession, organisation: UUID, filters: Filters) -> Totals:
    """Over the filtered orders; over all, when nothing is filtered."""
    counted = await _counted(session, organisation, filters)

    def orders(stage: FunnelStage | None = None) -> int:
        return sum(kept.entries for kept in counted if stage is None or kept.name == stage)

    income: defaultdict[str, int] = defaultdict(int)
    for kept in counted:
        income[kept.currency] += kept.amount
    return Totals(
        income=[Income(minor=minor, currency=currency) for currency, minor in sorted(income.items())],
        orders=orders(),
        new_unpaid=orders(FunnelStage.AWAITING_PAYMENT),
        paid=orders(FunnelStage.PAID),
    )


async def _counted(session: AsyncSession, organisation: UUID, filters: Filters) -> list[Sum]:
    """Orders and income by stage and currency. Those of all orders stand ready; a filter has to look at each."""
    if not filters.status and not _narrowed(filters):
        kept = await sums(session, organisation, Subject.STAGE)
        return [one for one in kept if not filters.stage or one.name in filters.stage]
    stage = func.coalesce(Order.stage, literal_column("''"))
    statement = (
        select(stage, Order.currency, func.count(), func.sum(Order.paid - Order.refunded))
        .where(*matching(organisation, filters))
        .group_by(stage, Order.currency)
    )
    rows = await session.execute(statement, execution_options=SEEN)
    return [Sum(name, currency, count, int(minor)) for name, currency, count, minor in rows]
