"""What staff change of a customer: data (CUS-4) and the black list (CUS-8)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.concurrency import check_version
from services.crm.errors import UnknownCustomer
from services.crm.matching import changed
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
    """Takes a customer off the black list."""
    customer = await _lock(session, organisation, customer_id, seen)
    if customer.blacklisted:
        customer.blacklisted = False
        customer.blacklist_reason = customer.blacklisted_by = customer.blacklisted_at = None
        await changed(session, customer)


async def _lock(session: AsyncSession, organisation: UUID, customer_id: UUID, seen: int) -> Customer:
    statement = select(Customer).where(Customer.id == customer_id, Customer.organisation == organisation)
    customer = await session.scalar(statement.with_for_update())
    if customer is None:
        raise UnknownCustomer("There is no such customer in this organisation.")
    check_version(seen, customer.version)
    return customer
