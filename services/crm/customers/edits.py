"""What staff change of a customer: data (CUS-4) and the black list (CUS-8)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.concurrency import check_version
from services.crm.customers.told import changed
from services.crm.errors import MergedAway, UnknownCustomer
from services.crm.models import Customer


async def edit(
    session: AsyncSession, organisation: UUID, customer_id: UUID, seen: int, data: Mapping[str, Any]
) -> None:
    """Changes some of name, date_of_birth, locality and address. Raises `UnknownCustomer` and `PreconditionFailed`."""
    customer = await _lock(session, organisation, customer_id, seen)
    if any(getattr(customer, name) != value for name, value in data.items()):
        for name, value in data.items():
            setattr(customer, name, value)
        customer.changed_at = datetime.now(UTC)
        await changed(session, customer)


async def blacklist(
    session: AsyncSession, organisation: UUID, customer_id: UUID, seen: int, *, reason: str | None, by: str
) -> None:
    """Puts a customer on the black list. It has no other effect than that it is shown (GAP-20)."""
    customer = await _lock(session, organisation, customer_id, seen)
    if not customer.blacklisted or customer.blacklist_reason != reason:
        customer.blacklisted, customer.blacklist_reason = True, reason
        customer.blacklisted_by, customer.blacklisted_at = by, datetime.now(UTC)
        await changed(session, customer)


async def forgive(session: AsyncSession, organisation: UUID, customer_id: UUID, seen: int) -> None:
    """Takes a customer off the black list, with all who were merged into it."""
    customer = await _lock(session, organisation, customer_id, seen)
    listed = (
        select(Customer)
        .where(Customer.counted_as == customer.id, Customer.blacklisted)
        .order_by(Customer.id)
        .with_for_update()
    )
    forgiven = (await session.scalars(listed)).all()
    for one in forgiven:
        one.blacklisted = False
        one.blacklist_reason = one.blacklisted_by = one.blacklisted_at = None
    if forgiven:
        await changed(session, customer)


async def _lock(session: AsyncSession, organisation: UUID, customer_id: UUID, seen: int) -> Customer:
    (customer,) = await lock(session, organisation, customer_id)
    stands_for_itself(customer)
    check_version(seen, customer.version)
    return customer


async def lock(session: AsyncSession, organisation: UUID, *ids: UUID) -> list[Customer]:
    """Some customers, locked in the order of their ids and given in the order asked for. Raises `UnknownCustomer`."""
    statement = (
        select(Customer)
        .where(Customer.id.in_(ids), Customer.organisation == organisation)
        .order_by(Customer.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = {customer.id: customer for customer in await session.scalars(statement)}
    if len(found) < len(set(ids)):
        raise UnknownCustomer("There is no such customer in this organisation.")
    return [found[one] for one in ids]


def stands_for_itself(customer: Customer) -> None:
    """Raises `MergedAway` for a customer that was merged into another one."""
    if customer.survivor_id is not None:
        raise MergedAway(
            f"Customer {customer.id} was merged into {customer.survivor_id}: change that one, or split them first.",
            customer_id=str(customer.survivor_id),
        )
