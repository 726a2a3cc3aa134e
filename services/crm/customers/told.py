"""Customers with all who were merged into them, and what everybody is told of them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from contracts.crm import CustomerChanged, CustomerState
from services.crm.models import Alias, AliasKind, Customer


def members(customer_id: UUID) -> Select[UUID]:
    """The ids of a customer and of all who were merged into it."""
    return select(Customer.id).where(Customer.counted_as == customer_id)


async def changed(session: AsyncSession, customer: Customer) -> None:
    """Raises the version of a locked customer and tells everybody; of a merged one, that of whom it is counted as."""
    if customer.survivor_id is not None:
        customer = await session.get_one(Customer, customer.survivor_id, with_for_update=True, populate_existing=True)
    customer.version += 1
    await session.flush()
    await publish(session, customer, CustomerChanged)


async def publish(session: AsyncSession, customer: Customer, kind: type[CustomerState]) -> None:
    contacts = await contacts_of(session, customer.id)
    flags = await session.execute(
        select(Customer.blacklisted, Customer.account_id)
        .where(Customer.counted_as == customer.id)
        .order_by(Customer.id != customer.id, Customer.id)
    )
    rows = flags.all()
    data = kind(
        customer_id=customer.id,
        name=customer.name,
        emails=tuple(contacts[AliasKind.EMAIL]),
        phones=tuple(contacts[AliasKind.PHONE]),
        blacklisted=any(row.blacklisted for row in rows),
        account_id=next((row.account_id for row in rows if row.account_id), None),
    )
    outbox.add(session, data, organisation=customer.organisation, version=customer.version)


async def contacts_of(session: AsyncSession, customer_id: UUID) -> dict[AliasKind, list[str]]:
    """The contacts of a customer and of those merged into it, by kind, oldest first."""
    found: dict[AliasKind, list[str]] = {kind: [] for kind in AliasKind}
    rows = await session.execute(
        select(Alias.kind, Alias.value)
        .where(Alias.customer_id.in_(members(customer_id)))
        .order_by(Alias.created_at, Alias.id)
    )
    for kind, value in rows:
        found[AliasKind(kind)].append(value)
    return found
