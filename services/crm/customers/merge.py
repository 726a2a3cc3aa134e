"""Staff say that two customers are one person, and take it back.

A merge moves nothing: the merged customer keeps its row, and is counted as the survivor (`Customer.counted_as`). What
was done to the survivor meanwhile stays with the survivor.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.concurrency import check_version
from chassis.problems import Invalid
from contracts.crm import CustomerMerged, CustomerSplit
from services.crm.customers.edits import lock, stands_for_itself
from services.crm.customers.told import changed
from services.crm.errors import NotMerged
from services.crm.models import Customer


async def merge(
    session: AsyncSession, organisation: UUID, customer_id: UUID, seen: int, other_id: UUID, *, by: str
) -> None:
    """Counts `other_id`, with all who were merged into it, as `customer_id`.

    Nothing happens if it was merged into it before. Raises `UnknownCustomer`, `PreconditionFailed`, `MergedAway`, and
    `Invalid` for a customer and itself.
    """
    if customer_id == other_id:
        raise Invalid("A customer cannot be merged into itself.")
    survivor, other = await lock(session, organisation, customer_id, other_id)
    if other.merged_into == survivor.id:
        return
    stands_for_itself(survivor)
    check_version(seen, survivor.version)
    stands_for_itself(other)
    await _count_as(session, await _subtree(session, other), survivor.id)
    other.merged_into, other.merged_by, other.merged_at = survivor.id, by, datetime.now(UTC)
    other.version += 1
    await session.flush()
    told = CustomerMerged(customer_id=other.id, into_id=survivor.id)
    outbox.add(session, told, organisation=organisation, version=other.version)
    await changed(session, survivor)


async def unmerge(session: AsyncSession, organisation: UUID, customer_id: UUID, seen: int, other_id: UUID) -> None:
    """Lets `other_id`, with all who were merged into it, stand for itself again.

    Raises `UnknownCustomer`, `PreconditionFailed`, and `NotMerged` if it does not count as `customer_id`.
    """
    survivor, other = await lock(session, organisation, customer_id, other_id)
    check_version(seen, survivor.version)
    if other.survivor_id != survivor.id:
        raise NotMerged(f"Customer {other.id} was not merged into {survivor.id}.")
    await _count_as(session, [one for one in await _subtree(session, other) if one != other.id], other.id)
    other.merged_into = other.merged_by = other.merged_at = other.survivor_id = None
    other.version += 1
    await session.flush()
    told = CustomerSplit(customer_id=other.id, from_id=survivor.id)
    outbox.add(session, told, organisation=organisation, version=other.version)
    await changed(session, other)
    await changed(session, survivor)


async def _subtree(session: AsyncSession, customer: Customer) -> list[UUID]:
    """The customer and all who were merged into it, also by way of others."""
    below = select(Customer.id).where(Customer.id == customer.id).cte("below", recursive=True)
    below = below.union(select(Customer.id).join(below, Customer.merged_into == below.c.id))
    return list(await session.scalars(select(below.c.id)))


async def _count_as(session: AsyncSession, ids: list[UUID], survivor_id: UUID) -> None:
    statement = update(Customer).where(Customer.id.in_(ids)).values(survivor_id=survivor_id)
    await session.execute(statement.execution_options(synchronize_session="fetch"))
