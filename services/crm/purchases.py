"""Keeps a row per order and gives each order to its customer (CUS-7, the basis of DEAL-14).

An older event than the one a row was made from changes nothing, so order and number of deliveries do not matter. The
contact data typed in each order stay with the order (CUS-12), whatever the customer's record says.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.projections import age
from chassis.texts import without_nul
from contracts.envelope import Event
from contracts.orders import OrderDeleted, OrderState
from services.crm.customers.matching import Contact, Person, recognise
from services.crm.models import Alias, AliasKind, CustomerOrder, Organisation


async def record_order(session: AsyncSession, event: Event[OrderState]) -> None:
    """Brings the row of an order up to date. An order of which nobody is known yet is not kept."""
    order, organisation = event.data, event.organisation
    if organisation is None:
        raise ValueError("an order belongs to an organisation")
    row = await session.get(CustomerOrder, order.order_id, with_for_update=True)
    if row is not None and age(event) <= (row.version, row.event_at, row.event_id):
        row.removed = row.removed or isinstance(order, OrderDeleted)
        return
    person = person_of(order) or (typed_in(row) if row else None)
    if person is None:
        return
    if row is None:
        row = CustomerOrder(order_id=order.order_id, organisation=organisation, number=order.number, removed=False)
        await _give_to_customer(session, row, person, new=True)
        session.add(row)
    elif person != typed_in(row):
        await _give_to_customer(session, row, person)
    _copy(row, event)
    await session.flush()


async def read_phones_again(session: AsyncSession, organisation: UUID) -> None:
    """Reads the numbers of orders that came before the organisation's region was known, or under another one."""
    unread = (
        select(CustomerOrder)
        .where(CustomerOrder.organisation == organisation, CustomerOrder.phone_read.is_(False))
        .order_by(CustomerOrder.order_id)
        .with_for_update()
    )
    for row in (await session.scalars(unread)).all():
        await _give_to_customer(session, row, typed_in(row))


async def _give_to_customer(session: AsyncSession, row: CustomerOrder, person: Person, *, new: bool = False) -> None:
    row.typed_name, row.typed_email, row.typed_phone = person.name, person.email, person.phone
    row.account_id = person.account_id
    contacts = person.contacts(await region_of(session, row.organisation))
    row.phone_read = not person.phone or any(contact.kind is AliasKind.PHONE for contact in contacts)
    if row.by_staff:
        return
    if not contacts or (not new and await _known_by_itself(session, row)):
        contacts.append(Contact(AliasKind.ORDER, str(row.order_id), row.number))
    row.customer_id = await recognise(session, row.organisation, person, contacts, row.order_id)


async def _known_by_itself(session: AsyncSession, row: CustomerOrder) -> bool:
    """Whether the order had no contact that could be read, when it came first."""
    alias = select(Alias.id).where(
        Alias.organisation == row.organisation, Alias.kind == AliasKind.ORDER, Alias.value == str(row.order_id)
    )
    return await session.scalar(alias) is not None


async def region_of(session: AsyncSession, organisation: UUID) -> str | None:
    """The country whose numbers are written without a code there; `None` while the organisation is not known."""
    region: str | None = await session.scalar(
        select(Organisation.phone_region).where(Organisation.organisation == organisation)
    )
    return region


def person_of(order: OrderState) -> Person | None:
    customer = order.customer
    if customer is None:
        return None
    return Person(
        name=without_nul(customer.name),
        email=without_nul(customer.email) if customer.email else None,
        phone=without_nul(customer.phone) if customer.phone else None,
        account_id=customer.account_id,
    )


def typed_in(row: CustomerOrder) -> Person:
    return Person(row.typed_name, row.typed_email, row.typed_phone, row.account_id)


def number_key(number: str) -> str:
    """An order number as people write it: with or without a leading #, in any case."""
    return "".join(number.upper().lstrip("#№ ").split())


def _copy(row: CustomerOrder, event: Event[OrderState]) -> None:
    order = event.data
    row.number, row.number_key = without_nul(order.number), number_key(without_nul(order.number))
    row.stage, row.payment_status = order.stage.value, order.payment_status.value
    row.payment_method = order.payment_method.value if order.payment_method else None
    row.title = without_nul(order.title)
    row.currency, row.total = order.currency, order.total.minor
    row.paid, row.refunded = order.paid.minor, order.refunded.minor
    row.show_id, row.offer_id = order.show_id, order.offer_id
    row.lines = [
        {
            "kind": line.kind.value,
            "title": without_nul(line.title),
            "quantity": line.quantity,
            "total": line.total.minor,
        }
        for line in order.lines
    ]
    row.created_at = order.created_at
    row.removed = row.removed or isinstance(order, OrderDeleted)
    row.version, row.event_at, row.event_id = age(event)
