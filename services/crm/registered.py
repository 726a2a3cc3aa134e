"""What people entered on the platform, beside what was typed in orders: both are kept (CUS-12, REG-6, ORD-26)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.people import normalise_email
from chassis.projections import keep_newest
from chassis.texts import without_nul
from contracts.accounts import AccountState, OrganisationState
from contracts.envelope import Event
from services.crm.customers import matching
from services.crm.customers.told import changed
from services.crm.models import Account, Alias, AliasKind, Customer, Organisation
from services.crm.purchases import read_phones_again, region_of


async def record_account(session: AsyncSession, event: Event[AccountState]) -> None:
    """Keeps an account, and shows its data on the customers that are its person (`matching.is_person_of`), in every
    organisation."""
    data = event.data
    email_key = normalise_email(data.email) or without_nul(data.email).lower()
    await matching.serialise(session, [str(data.account_id), email_key])
    row = {
        "account_id": data.account_id,
        "email": data.email,
        "email_key": email_key,
        "name": data.name,
        "phone": data.phone,
        "shared_with": list(data.shared_with),
        "version": event.aggregate_version,
        "event_at": event.time,
    }
    if not await keep_newest(session, Account, row):
        return
    account = await session.get_one(Account, data.account_id, populate_existing=True)
    for customer in await _same_person(session, data.account_id, email_key):
        before = _shown(customer)
        if await matching.is_person_of(session, customer, account):
            matching.take_registered_data(customer, account)
        elif customer.account_id == account.account_id:
            matching.forget_registered_data(customer)
        if _shown(customer) != before:
            await changed(session, customer)


async def _same_person(session: AsyncSession, account_id: UUID, email_key: str) -> list[Customer]:
    """Customers that may be the account's person."""
    known_by = select(Alias.customer_id).where(
        or_(
            and_(Alias.kind == AliasKind.EMAIL, Alias.value == email_key),
            and_(Alias.kind == AliasKind.ACCOUNT, Alias.value == str(account_id)),
        )
    )
    customers = (
        select(Customer)
        .where(
            or_(
                Customer.account_id == account_id,
                and_(Customer.account_id.is_(None), Customer.id.in_(known_by)),
            )
        )
        .order_by(Customer.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(await session.scalars(customers))


def _shown(customer: Customer) -> tuple[Any, ...]:
    return customer.account_id, customer.registered_name, customer.registered_email, customer.registered_phone


async def record_organisation(session: AsyncSession, event: Event[OrganisationState]) -> None:
    """Keeps how an organisation's phone numbers are read."""
    data = event.data
    region = await region_of(session, data.organisation_id)
    row = {
        "organisation": data.organisation_id,
        "phone_region": data.phone_region,
        "version": event.aggregate_version,
        "event_at": event.time,
    }
    if await keep_newest(session, Organisation, row) and region != data.phone_region:
        await read_phones_again(session, data.organisation_id)
