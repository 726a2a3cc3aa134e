"""Lists and cards of customers (CUS-1, CUS-2, CUS-3, CUS-7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from chassis.pages import cut, read_cursor
from chassis.people import normalise_email, normalise_phone
from chassis.texts import like
from services.crm.customers.matching import UNKNOWN_REGION
from services.crm.customers.told import contacts_of, members
from services.crm.errors import UnknownCustomer
from services.crm.models import Alias, AliasKind, Customer, CustomerOrder, Overlap
from services.crm.purchases import number_key, region_of

FEWEST_DIGITS = 4
"""Part of a phone number that is worth searching for."""
NEWEST_ORDERS = 200
MEMBER = aliased(Customer)
"""A customer or one that was merged into it."""


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
    where = [Customer.organisation == organisation, Customer.survivor_id.is_(None)]
    rank: ColumnElement[int] = literal(0)
    if search:
        certain, likely = await _matches(session, organisation, search)
        where.append(or_(certain, likely))
        rank = case((certain, 0), else_=1)
    if blacklisted is not None:
        listed = select(MEMBER.counted_as).where(MEMBER.organisation == organisation, MEMBER.blacklisted)
        where.append(Customer.id.in_(listed) if blacklisted else Customer.id.not_in(listed))
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
    order, alias = CustomerOrder.organisation == organisation, Alias.organisation == organisation
    contact = Alias.kind.in_((AliasKind.EMAIL, AliasKind.PHONE))
    certain = or_(
        Customer.id.in_(_by_order(order, CustomerOrder.number_key == number_key(search))),
        Customer.id.in_(_by_alias(alias, contact, Alias.value.in_(exact_values))),
    )
    words = [like(word) for word in search.split()]
    person = or_(*(and_(*(name.ilike(word) for word in words)) for name in (MEMBER.name, MEMBER.registered_name)))
    part_of_email = like(search.strip().lower())
    likely = [
        Customer.id.in_(select(MEMBER.counted_as).where(MEMBER.organisation == organisation, person)),
        # Several people may order under one address: each is found by the name that was typed.
        Customer.id.in_(_by_order(order, *(CustomerOrder.typed_name.ilike(word) for word in words))),
        Customer.id.in_(_by_alias(alias, Alias.kind == AliasKind.EMAIL, Alias.value.like(part_of_email))),
    ]
    digits = re.sub(r"\D", "", search)
    if len(digits) >= FEWEST_DIGITS and not re.search(r"[^\d\s()+./-]", search):
        typed_digits = func.regexp_replace(CustomerOrder.typed_phone, "\\D", "", "g")
        # A local number begins with 0 where the international one has the country's code.
        part = f"%{digits.removeprefix('0')}%"
        likely += [
            Customer.id.in_(_by_alias(alias, Alias.kind == AliasKind.PHONE, Alias.value.like(part))),
            # A phone that people share belongs to one of them, and was typed by all.
            Customer.id.in_(_by_order(order, typed_digits.like(part))),
        ]
    return certain, or_(*likely)


def _by_order(*where: ColumnElement[bool]) -> Select[UUID]:
    """Who stands for the customers of some orders."""
    return select(MEMBER.counted_as).join(CustomerOrder, CustomerOrder.customer_id == MEMBER.id).where(*where)


def _by_alias(*where: ColumnElement[bool]) -> Select[UUID]:
    """Who stands for the customers of some contacts."""
    return select(MEMBER.counted_as).join(Alias, Alias.customer_id == MEMBER.id).where(*where)


async def _summaries(session: AsyncSession, customers: Sequence[Customer]) -> list[dict[str, Any]]:
    ids = [customer.id for customer in customers]
    who = MEMBER.counted_as.in_(ids)
    aliases = await session.execute(
        select(MEMBER.counted_as, Alias.kind, Alias.value)
        .join(Alias, Alias.customer_id == MEMBER.id)
        .where(who, Alias.kind.in_((AliasKind.EMAIL, AliasKind.PHONE)))
        .order_by(Alias.created_at, Alias.id)
    )
    known: dict[UUID, dict[str, list[str]]] = {i: {"email": [], "phone": []} for i in ids}
    for customer_id, kind, value in aliases:
        known[customer_id][kind].append(value)
    orders = await session.execute(
        select(MEMBER.counted_as, func.count(), func.max(CustomerOrder.created_at))
        .join(CustomerOrder, CustomerOrder.customer_id == MEMBER.id)
        .where(who, CustomerOrder.removed.is_(False))
        .group_by(MEMBER.counted_as)
    )
    counts: dict[UUID, tuple[int, datetime]] = {row[0]: (row[1], row[2]) for row in orders}
    listed = set(await session.scalars(select(MEMBER.counted_as).where(who, MEMBER.blacklisted)))
    return [
        {
            "customer_id": customer.id,
            "name": customer.name,
            "emails": known[customer.id]["email"],
            "phones": known[customer.id]["phone"],
            "blacklisted": customer.id in listed,
            "orders": counts[customer.id][0] if customer.id in counts else 0,
            "last_order_at": counts[customer.id][1] if customer.id in counts else None,
            "created_at": customer.created_at,
        }
        for customer in customers
    ]


async def card(session: AsyncSession, organisation: UUID, customer_id: UUID) -> dict[str, Any]:
    """Everything known of one customer; of a merged one, the card of its survivor. Raises `UnknownCustomer`."""
    mine = select(MEMBER.counted_as).where(MEMBER.id == customer_id, MEMBER.organisation == organisation)
    people = (
        await session.scalars(
            select(Customer)
            .where(Customer.counted_as == mine.scalar_subquery(), Customer.organisation == organisation)
            .order_by(Customer.survivor_id.is_not(None), Customer.merged_at, Customer.id)
        )
    ).all()
    if not people:
        raise UnknownCustomer("There is no such customer in this organisation.")
    customer, merged = people[0], people[1:]
    contacts = await contacts_of(session, customer.id)
    orders = await _orders(session, customer.id)
    listed = next((one for one in people if one.blacklisted), customer)
    registered = next((one for one in people if one.account_id), customer)
    return {
        "customer_id": customer.id,
        "version": customer.version,
        "name": customer.name,
        "emails": contacts[AliasKind.EMAIL],
        "phones": contacts[AliasKind.PHONE],
        "date_of_birth": customer.date_of_birth,
        "locality": customer.locality,
        "address": customer.address,
        "blacklisted": listed.blacklisted,
        "blacklist_reason": listed.blacklist_reason,
        "blacklisted_by": listed.blacklisted_by,
        "blacklisted_at": listed.blacklisted_at,
        "account_id": registered.account_id,
        "registered": _registered(registered),
        "created_at": customer.created_at,
        "orders": [_order(order) for order in orders],
        "spent": await _spent(session, customer.id),
        "possible_duplicates": await _possible_duplicates(session, customer.id),
        "merged": [_merged(one) for one in merged],
    }


async def totals(session: AsyncSession, organisation: UUID) -> dict[str, int]:
    """How many customers there are, on the black list, with an account, and with an order."""
    ordered = select(CustomerOrder.customer_id).where(
        CustomerOrder.organisation == organisation, CustomerOrder.removed.is_(False)
    )
    who = Customer.counted_as

    row = await session.execute(
        select(
            func.count(who.distinct()).label("customers"),
            func.count(who.distinct()).filter(Customer.blacklisted).label("blacklisted"),
            func.count(who.distinct()).filter(Customer.registered_email.is_not(None)).label("registered"),
            func.count(who.distinct()).filter(Customer.id.in_(ordered)).label("with_orders"),
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
        .where(CustomerOrder.customer_id.in_(members(customer_id)), CustomerOrder.removed.is_(False))
        .order_by(CustomerOrder.created_at.desc(), CustomerOrder.order_id)
        .limit(NEWEST_ORDERS)
    )
    return (await session.scalars(statement)).all()


async def _spent(session: AsyncSession, customer_id: UUID) -> list[dict[str, Any]]:
    """Received less refunded, by currency; removed orders count, as their payments remain (GAP-21)."""
    minor = func.sum(CustomerOrder.paid - CustomerOrder.refunded)
    rows = await session.execute(
        select(CustomerOrder.currency, minor)
        .where(CustomerOrder.customer_id.in_(members(customer_id)))
        .group_by(CustomerOrder.currency)
        .having(func.sum(CustomerOrder.paid) > 0)
        .order_by(CustomerOrder.currency)
    )
    return [{"minor": int(amount), "currency": currency} for currency, amount in rows]


async def _possible_duplicates(session: AsyncSession, customer_id: UUID) -> list[dict[str, Any]]:
    one, other = aliased(Customer), aliased(Customer)
    rows = await session.execute(
        select(Overlap, one.counted_as, other.counted_as)
        .join(one, one.id == Overlap.customer_id)
        .join(other, other.id == Overlap.other_id)
        .where(or_(one.counted_as == customer_id, other.counted_as == customer_id), one.counted_as != other.counted_as)
        .order_by(Overlap.noted_at, Overlap.id)
    )
    return [
        {
            "customer_id": second if first == customer_id else first,
            "kind": row.kind,
            "value": row.value,
            "order_id": row.order_id,
        }
        for row, first, second in rows
    ]


def _merged(customer: Customer) -> dict[str, Any]:
    return {
        "customer_id": customer.id,
        "name": customer.name,
        "date_of_birth": customer.date_of_birth,
        "locality": customer.locality,
        "address": customer.address,
        "merged_into": customer.merged_into,
        "merged_by": customer.merged_by,
        "merged_at": customer.merged_at,
    }


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
