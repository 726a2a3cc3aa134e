"""What the routes share: who may work with orders, and finding the order a caller may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Query
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from chassis.concurrency import check_version
from chassis.db import Database
from chassis.edge import Caller, Permission, staff
from chassis.problems import Forbidden, Unauthorised
from contracts.accounts import BACK_OFFICE, Role
from services.orders.desk.views import OrderCard, Registered, card_view
from services.orders.errors import OrderNotFound, ProviderAway, UnknownProvider
from services.orders.known import Account, Undelivered
from services.orders.order import Cause, links, load
from services.orders.order.tables import Note, Order
from services.orders.payments.provider import PaymentProvider
from services.orders.settings import Settings

ORDER_STAFF = staff(*BACK_OFFICE)
MONEY_STAFF = staff(
    Role.ORGANIZER, Role.SCHOOL_STAFF, Role.SALES_HEAD, Role.TICKET_ORGANIZER, Role.TICKET_DESK, Role.PROJECT_HEAD
)
"""Who may move money: mark as paid, cancel, refund."""

GROUP_BYTES = 512 * 1024
"""Of a body that names everybody in a group of 1,000."""

CHECKOUT_BYTES = 4 * 1024 * 1024
"""Of a body with the quotes of 2,000 seats, and everybody in them."""

Staff = Annotated[Caller, Depends(ORDER_STAFF)]
MoneyStaff = Annotated[Caller, Depends(MONEY_STAFF)]


async def _key(
    order_key: Annotated[str | None, Header(description="The key of the order's signed link")] = None,
    key: Annotated[str | None, Query(description="The same, in an address")] = None,
) -> str | None:
    return order_key or key


Key = Annotated[str | None, Depends(_key)]


async def db_of(request: Request) -> Database:
    db: Database = request.app.state.db
    return db


async def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def provider_of(request: Request, name: str | None = None) -> PaymentProvider:
    """The named provider, or the one that new payments go to."""
    settings: Settings = request.app.state.settings
    provider: PaymentProvider | None = request.app.state.providers.get(name or settings.payment_provider)
    if provider is None:
        if name is None:
            raise ProviderAway("No payment provider is configured.")
        raise UnknownProvider(f"There is no payment provider {name}.")
    return provider


Db = Annotated[Database, Depends(db_of)]
Config = Annotated[Settings, Depends(settings_of)]


async def staff_order(session: AsyncSession, order_id: UUID, caller: Caller, seen: int | None = None) -> Order:
    """An order of the caller's organisation, locked. Raises `OrderNotFound`, or 412 if it is not as it was seen."""
    order = await load(session, order_id)
    if order is None or order.organisation != caller.staff_organisation:
        raise OrderNotFound("There is no order with this id in the organisation.")
    if seen is not None:
        check_version(seen, order.version)
    return order


@dataclass(frozen=True, slots=True)
class Access:
    """In which organisation an order is, and whether the caller is there as one of its staff or as the buyer."""

    organisation: UUID
    as_staff: bool = False


async def access_to(
    db: Database, order_id: UUID, key: str | None, caller: Caller, needed: Permission = ORDER_STAFF
) -> Access:
    """How the caller may work with the order: by the signed link, as staff with the roles `needed`, or as its buyer.

    Raises `Unauthorised`, `Forbidden` or `OrderNotFound`.
    """
    if key is not None:
        link = links.verify(key)
        if link.subject != order_id:
            raise Unauthorised("The link opens another order.")
        return Access(link.organisation)
    if caller.account_id is None:
        raise Unauthorised("Open the order by its link, or sign in.")
    async with db.for_organisation(caller.organisation if caller.is_staff else None, caller.account_id) as session:
        # Row-level security shows staff the orders of their organisation, and everybody those of the own account.
        statement = select(Order.organisation, Order.account_id).where(Order.id == order_id)
        found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise OrderNotFound("There is no such order, or it is not yours.")
    organisation, account = found
    if caller.serves(organisation) and caller.has(*needed.roles):
        return Access(organisation, as_staff=True)
    if account == caller.account_id:
        return Access(organisation)
    if caller.has(*ORDER_STAFF.roles):
        raise Forbidden(f"This needs one of the roles {', '.join(sorted(needed.roles))} in the organisation.")
    raise OrderNotFound("There is no such order, or it is not yours.")


async def visible_order(session: AsyncSession, order_id: UUID, *, lock: bool = False) -> Order:
    """The order, if row-level security shows it. Raises `OrderNotFound`."""
    order = await load(session, order_id, lock=lock)
    if order is None:
        raise OrderNotFound("There is no such order, or it is not yours.")
    return order


def cause_of(caller: Caller, order: Order | None = None) -> Cause:
    if caller.serves(order.organisation) if order else caller.is_staff:
        return Cause(caller.actor, "staff")
    return Cause(caller.email or (order.customer_email if order else None) or "buyer", "buyer")


async def full_card(session: AsyncSession, order: Order) -> OrderCard:
    """The card as staff see it: with notes, and with what the people registered (ORD-26)."""
    notes = list(await session.scalars(select(Note).where(Note.order_id == order.id).order_by(Note.id)))
    emails = {order.customer_email, *(line.participant_email for line in order.lines)} - {None}
    agreed = or_(Account.id == order.account_id, Account.shared_with.contains([order.organisation]))
    accounts = await session.scalars(select(Account).where(Account.email.in_(emails), agreed))
    registered = {
        account.email: Registered(name=account.name, email=account.email, phone=account.phone) for account in accounts
    }
    failed = select(Undelivered).where(Undelivered.order_id == order.id, Undelivered.organisation == order.organisation)
    undelivered = list(await session.scalars(failed.order_by(Undelivered.at.desc(), Undelivered.message_id)))
    return card_view(order, notes, registered, undelivered)


def plain_card(order: Order) -> OrderCard:
    """The card as the buyer sees it."""
    return card_view(order, [], {}, [])
