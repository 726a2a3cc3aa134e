"""Events that tell CRM about people: orders, accounts and organisations."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Consumer
from chassis.errors import Permanent
from contracts.accounts import AccountState, OrganisationState
from contracts.envelope import Event
from contracts.orders import OrderState
from services.crm import purchases, registered

consumer = Consumer("crm")


@consumer.on(*OrderState.types())
async def order_told(session: AsyncSession, event: Event[OrderState]) -> None:
    if event.organisation is None:
        raise Permanent("an order without an organisation belongs to nobody")
    await purchases.record_order(session, event)


@consumer.on(*AccountState.types())
async def account_told(session: AsyncSession, event: Event[AccountState]) -> None:
    await registered.record_account(session, event)


@consumer.on(*OrganisationState.types())
async def organisation_told(session: AsyncSession, event: Event[OrganisationState]) -> None:
    await registered.record_organisation(session, event)
