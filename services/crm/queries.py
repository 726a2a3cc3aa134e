"""Lists and cards of customers (CUS-1, CUS-2, CUS-3, CUS-7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import cut, read_cursor
from chassis.people import normalise_email, normalise_phone
from chassis.texts import like
from services.crm.errors import UnknownCustomer
from services.crm.matching import UNKNOWN_REGION, contacts_of
from services.crm.models import Alias, AliasKind, Customer, CustomerOrder, Overlap
from services.crm.purchases import number_key, region_of

FEWEST_DIGITS = 4
"""Part of a phone number that is worth searching for."""
NEWEST_ORDERS = 200


async def find_customers(
    session: AsyncSession,
    organisation: UUID,
    *,
    search: str = "",
    blacklisted: bool | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> dict[str, Any]:
    """Customers by order number, name, e-mail or phone; exact matches first, then the newest."""
    where = [Customer.organisation == organisation]
    rank: ColumnElement[int] = literal(0)
    if search:
        certain, likely = await _matches(session, organisation, search)
        where.append(or_(certain, likely))
        rank = case((certain, 0), else_=1)
    if blacklisted is not None:
        where.append(Customer.blacklisted.is_(blacklisted))
    if cursor:
        last_rank, last_id = read_cursor(cursor, int)
        where.append(or_(rank > last_rank, and_(rank == last_rank, Customer.id < last_id)))
    # Ids are UUIDv7: a greater one is newer.
    statement = select(Customer, rank).where(*where).order_by(rank, Customer.id.desc()).limit(limit + 1)
    rows, following = cut((await session.execute(statement)).all(), limit, lambda row: (row[1], row[0].id))
    return {"items": await _summaries(session, [row[0] for row in rows]), "next": following}


async def _matches(
    session: AsyncSession, organisation: UUID, search: str
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """What matches exactly, and what may be meant."""
    region = await region_of(session, organisation) or UNKNOWN_REGION
    exact_values = [value for value in (normalise_email(search), normalise_phone(search, region)) if value]
    certain = or_(
        exists().where(CustomerOrder.customer_id == Customer.id, CustomerOrder.number_key == number_key(search)),
        exists().where(
            Alias.customer_id == Customer.id,
            Alias.kind.in_((AliasKind.EMAIL, AliasKind.PHONE)),
            Alias.value.in_(exact_values),
        ),
    )
    words = search.split()
    part_of_email = like(search.strip().lower())
    likely = [
        and_(*(Customer.name.ilike(like(word)) for word in words)),
        and_(*(func.coalesce(Customer.registered_name, "").ilike(like(word)) for word in words)),
        exists().where(
            Alias.customer_id == Customer.id, Alias.kind == AliasKind.EMAIL, Alias.value.like(part_of_email)
        ),
    ]
    digits = re.sub(r"\D", "", search)
    if len(digits) >= FEWEST_DIGITS and not re.search(r"[^\d\s()+./-]", search):
        # A local number begins with 0 where the international one has the country's code.
        part = f"%{digits.removeprefix('0')}%"
        likely.append(
            exists().where(Alias.customer_id == Customer.id, Alias.kind == AliasKind.PHONE, Alias.value.like(part))
        )
    return certain, or_(*likely)


async def _summaries(session: AsyncSession, customers: Sequence[Customer]) -> list[dict[str, Any]]:
    ids = [customer.id for customer in customers]
    aliases = await session.execute(
        select(Alias.customer_id, Alias.kind, Alias.value)
        .where(Alias.customer_id.in_(ids), Alias.kind.in_((AliasKind.EMAIL, AliasKind.PHONE)))
        .order_by(Alias.created_at, Alias.id)
    )
    known: dict[UUID, dict[str, list[str]]] = {i: {"email": [], "phone": []} for i in ids}
    for customer_id, kind, value in aliases:
        known[customer_id][kind].append(value)
    orders = await session.execute(
        select(CustomerOrder.customer_id, func.count(), func.max(CustomerOrder.created_at))
        .where(CustomerOrder.customer_id.in_(ids), CustomerOrder.removed.is_(False))
        .group_by(CustomerOrder.customer_id)
    )
    counts: dict[UUID, tuple[int, datetime]] = {row[0]: (row[1], row[2]) for row in orders}
    return [
        {
            "customer_id": customer.id,
            "name": customer.name,
            "emails": known[customer.id]["email"],
            "phones": known[customer.id]["phone"],
            "blacklisted": customer.blacklisted,
            "orders": counts[customer.id][0] if customer.id in counts else 0,
            "last_order_at": counts[customer.id][1] if customer.id in counts else None,
            "created_at": customer.created_at,
        }
        for customer in customers
    ]


async def card(session: AsyncSession, organisation: UUID, customer_id: UUID) -> dict[str, Any]:
    """Everything known of one customer. Raises `UnknownCustomer`."""
    customer = await session.scalar(
        select(Customer).where(Customer.id == customer_id, Customer.organisation == organisation)
    )
    if customer is None:
        raise UnknownCustomer("There is no such customer in this organisation.")
    contacts = await contacts_of(session, customer_id)
    orders = await _orders(session, customer_id)
    return {
        "customer_id": customer.id,
        "version": customer.version,
        "name": customer.name,
        "emails": contacts[AliasKind.EMAIL],
        "phones": contacts[AliasKind.PHONE],
        "date_of_birth": customer.date_of_birth,
        "locality": customer.locality,
        "address": customer.address,
        "blacklisted": customer.blacklisted,
        "blacklist_reason": customer.blacklist_reason,
        "blacklisted_by": customer.blacklisted_by,
        "blacklisted_at": customer.blacklisted_at,
        "account_id": customer.account_id,
        "registered": _registered(customer),
        "created_at": customer.created_at,
        "orders": [_order(order) for order in orders],
        "spent": await _spent(session, customer_id),
        "possible_duplicates": await _possible_duplicates(session, customer_id),
    }


async def totals(session: AsyncSession, organisation: UUID) -> dict[str, int]:
    """How many customers there are, on the black list, with an account, and with an order."""
    ordered = exists().where(CustomerOrder.customer_id == Customer.id, CustomerOrder.removed.is_(False))
    row = await session.execute(
        select(
            func.count().label("customers"),
            func.count().filter(Customer.blacklisted).label("blacklisted"),
            func.count().filter(Customer.registered_email.is_not(None)).label("registered"),
            func.count().filter(ordered).label("with_orders"),
        ).where(Customer.organisation == organisation)
    )
    orders = await session.scalar(
        select(func.count())
        .select_from(CustomerOrder)
        .where(CustomerOrder.organisation == organisation, CustomerOrder.removed.is_(False))
    )
    return {**row.mappings().one(), "orders": orders or 0}


async def _orders(session: AsyncSession, customer_id: UUID) -> Sequence[CustomerOrder]:
    statement = (
        select(CustomerOrder)
        .where(CustomerOrder.customer_id == customer_id, CustomerOrder.removed.is_(False))
        .order_by(CustomerOrder.created_at.desc(), CustomerOrder.order_id)
        .limit(NEWEST_ORDERS)
    )
    return (await session.scalars(statement)).all()


async def _spent(session: AsyncSession, customer_id: UUID) -> list[dict[str, Any]]:
    """Received less refunded, by currency; removed orders count, as their payments remain (GAP-21)."""
    minor = func.sum(CustomerOrder.paid - CustomerOrder.refunded)
    rows = await session.execute(
        select(CustomerOrder.currency, minor)
        .where(CustomerOrder.customer_id == customer_id)
        .group_by(CustomerOrder.currency)
        .having(func.sum(CustomerOrder.paid) > 0)
        .order_by(CustomerOrder.currency)
    )
    return [{"minor": int(amount), "currency": currency} for currency, amount in rows]


async def _possible_duplicates(session: AsyncSession, customer_id: UUID) -> list[dict[str, Any]]:
    rows = await session.scalars(
        select(Overlap)
        .where(or_(Overlap.customer_id == customer_id, Overlap.other_id == customer_id))
        .order_by(Overlap.noted_at, Overlap.id)
    )
    return [
        {
            "customer_id": row.other_id if row.customer_id == customer_id else row.customer_id,
            "kind": row.kind,
            "value": row.value,
            "order_id": row.order_id,
        }
        for row in rows
    ]


def _registered(customer: Customer) -> dict[str, Any] | None:
    if customer.registered_email is None:
        return None
    return {
        "name": customer.registered_name,
        "email": customer.registered_email,
        "phone": customer.registered_phone,
    }


def _order(order: CustomerOrder) -> dict[str, Any]:
    def money(minor: int) -> dict[str, Any]:
        return {"minor": minor, "currency": order.currency}

    return {
        "order_id": order.order_id,
        "number": order.number,
        "title": order.title,
        "stage": order.stage,
        "payment_status": order.payment_status,
        "payment_method": order.payment_method,
        "total": money(order.total),
        "paid": money(order.paid),
        "refunded": money(order.refunded),
        "typed": {"name": order.typed_name, "email": order.typed_email, "phone": order.typed_phone},
        "products": [{**line, "total": money(line["total"])} for line in order.lines],
        "created_at": order.created_at,
    }
