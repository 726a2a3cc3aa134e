"""Staff say that some orders of a customer are another person's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from chassis import outbox
from chassis.concurrency import check_version
from contracts.crm import CustomerRegistered, CustomerSplit
from services.crm.customers.edits import lock, stands_for_itself
from services.crm.customers.matching import Contact, find_account, note_overlap
from services.crm.customers.told import changed, members, publish
from services.crm.errors import CannotSplit
from services.crm.models import Alias, AliasKind, Customer, CustomerOrder, Overlap
from services.crm.purchases import region_of, typed_in


async def split_off(
    session: AsyncSession, organisation: UUID, customer_id: UUID, seen: int, order_ids: Collection[UUID], *, name: str
) -> UUID:
    """Gives some orders of a customer to a new one, whose id it returns; without a `name` that of the newest order.

    Contacts that only these orders name go with them. One that others name, too, stays, and is noted as an overlap.
    The new customer is on no black list. Raises `UnknownCustomer`, `PreconditionFailed`, `MergedAway`, `CannotSplit`.
    """
    theirs = CustomerOrder.customer_id.in_(members(customer_id))
    # Orders before customers, as an order that comes locks them.
    orders = await _orders(session, theirs, CustomerOrder.organisation == organisation)
    (customer,) = await lock(session, organisation, customer_id)
    stands_for_itself(customer)
    check_version(seen, customer.version)
    going = [order for order in orders if order.order_id in order_ids]
    if len(going) < len(set(order_ids)):
        raise CannotSplit("Some of these orders are not this customer's.")
    if len(going) == len(orders):
        raise CannotSplit("At least one order must stay. To correct who the customer is, change the customer.")
    newest = max(going, key=lambda order: (order.created_at, order.order_id))
    new = Customer(id=uuid7(), organisation=organisation, name=name or newest.typed_name, version=1)
    session.add(new)
    await session.flush()
    staying = [order for order in orders if order not in going]
    region = await region_of(session, organisation)
    await _move(session, customer, new, going, staying, region)
    await find_account(session, new)
    await session.flush()
    await publish(session, new, CustomerRegistered)
    new.version += 1
    told = CustomerSplit(customer_id=new.id, from_id=customer.id, order_ids=tuple(order.order_id for order in going))
    outbox.add(session, told, organisation=organisation, version=new.version)
    await changed(session, customer)
    return new.id


async def _orders(session: AsyncSession, *where: ColumnElement[bool]) -> Sequence[CustomerOrder]:
    statement = (
        select(CustomerOrder)
        .where(*where)
        .order_by(CustomerOrder.order_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(statement)).all()


async def _move(
    session: AsyncSession,
    customer: Customer,
    new: Customer,
    going: Sequence[CustomerOrder],
    staying: Sequence[CustomerOrder],
    region: str | None,
) -> None:
    for order in going:
        order.customer_id, order.by_staff = new.id, True
    named = {(c.kind, c.value): (c, order) for order in going for c in _contacts(order, region)}
    kept = {(c.kind, c.value) for order in staying for c in _contacts(order, region)}
    ids = [order.order_id for order in going]
    mine = Alias.customer_id.in_(members(customer.id))
    key = tuple_(Alias.kind, Alias.value)
    losers = set(await session.scalars(select(Alias.customer_id).where(mine, key.in_(named.keys() - kept))))
    await session.execute(update(Alias).where(mine, key.in_(named.keys() - kept)).values(customer_id=new.id))
    noted = Overlap.customer_id.in_(members(customer.id))
    await session.execute(update(Overlap).where(noted, Overlap.order_id.in_(ids)).values(customer_id=new.id))
    for contact, order in (named[one] for one in sorted(named.keys() & kept)):
        owner = await session.scalar(select(Alias.customer_id).where(mine, key == (contact.kind, contact.value)))
        if owner is not None:
            await note_overlap(session, new.organisation, new.id, owner, contact, order.order_id)
    for loser in await lock(session, new.organisation, *sorted(losers)):
        # The account may have been found by what has gone.
        loser.account_id = loser.registered_name = loser.registered_email = loser.registered_phone = None
        await find_account(session, loser)
    await session.flush()


def _contacts(order: CustomerOrder, region: str | None) -> list[Contact]:
    return [*typed_in(order).contacts(region), Contact(AliasKind.ORDER, str(order.order_id), order.number)]
