"""Events that tell CRM about people: orders, accounts and organisations."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Consumer
from chassis.errors import Permanent
from contracts.accounts import (
    AccountChanged,
    AccountRegistered,
    AccountState,
    OrganisationChanged,
    OrganisationRegistered,
    OrganisationState,
)
from contracts.envelope import Event
from contracts.orders import (
    OrderCancelled,
    OrderChanged,
    OrderConfirmed,
    OrderDeleted,
    OrderExpired,
    OrderInterested,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    OrderState,
)
from services.crm import purchases, registered

consumer = Consumer("crm")


@consumer.on(
    OrderInterested,
    OrderPlaced,
    OrderPaid,
    OrderConfirmed,
    OrderExpired,
    OrderCancelled,
    OrderRefunded,
    OrderChanged,
    OrderDeleted,
)
async def order_told(session: AsyncSession, event: Event[OrderState]) -> None:
    if event.organisation is None:
        raise Permanent("an order without an organisation belongs to nobody")
    await purchases.record_order(session, event)


@consumer.on(AccountRegistered, AccountChanged)
async def account_told(session: AsyncSession, event: Event[AccountState]) -> None:
    await registered.record_account(session, event)


@consumer.on(OrganisationRegistered, OrganisationChanged)
async def organisation_told(session: AsyncSession, event: Event[OrganisationState]) -> None:
    await registered.record_organisation(session, event)
