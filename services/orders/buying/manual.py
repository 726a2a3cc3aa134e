"""Orders that staff enter, because the sale happened outside of the platform (ORD-41, ORD-44..46)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from chassis.texts import NAMING, ONE_LINE
from contracts.orders import LineKind, PaymentMethod
from services.orders.buying.basket import Bought, lines_of
from services.orders.buying.checkout import Locale
from services.orders.buying.contacts import Person, contact, reachable, region_of
from services.orders.catalogue.commands import find_offer
from services.orders.errors import NotPossibleNow
from services.orders.order import Cause, create_order, happen
from services.orders.order.lines import replace_lines
from services.orders.order.tables import Order
from services.orders.process import happenings as h
from services.orders.settings import Settings


class ManualCustomer(BaseModel):
    """The form asks for last name, first name, phone number and e-mail (ORD-44)."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    last_name: Annotated[str, Field(min_length=1, max_length=100), NAMING]
    first_name: Annotated[str, Field(max_length=99), ONE_LINE] = ""
    email: Annotated[str, Field(max_length=254), ONE_LINE] | None = None
    phone: Annotated[str, Field(max_length=40), ONE_LINE] | None = None


class ManualOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    offer_id: UUID
    """The product, from a drop-down list: orders are tied to products (ORD-45)."""
    customer: ManualCustomer
    quantity: int = Field(default=1, ge=1, le=1000)
    participants: list[Person] = Field(default_factory=list, max_length=1000)
    """The students of a course, one for each place; a single place without one is for the customer."""
    locale: Locale = "en"
    order_id: UUID | None = None
    """Made by the client, so that a repeated request is the same order."""


async def add_order(
    session: AsyncSession, organisation: UUID, body: ManualOrder, cause: Cause, settings: Settings
) -> Order:
    """A new order that awaits payment. Raises `OfferNotFound`, `BadContact`."""
    offer = await find_offer(session, body.offer_id, organisation)
    region = await region_of(session, organisation, settings.phone_region)
    name = f"{body.customer.first_name} {body.customer.last_name}".strip()
    person = Person(name=name, email=body.customer.email or None, phone=body.customer.phone or None)
    customer = contact(person, region, "the customer")
    if offer.kind == LineKind.COURSE:
        # A student whom nobody can reach would never learn the address of the course.
        reachable(customer, "the customer")
    order = await create_order(
        session,
        body.order_id or uuid7(),
        organisation,
        currency=offer.currency,
        source="manual",
        locale=body.locale,
        payment_method=PaymentMethod.MANUAL.value,
        offer_id=offer.id,
        title=offer.name,
        customer_name=customer.name,
        customer_email=customer.email,
        customer_phone=customer.phone,
    )
    if order.stage is not None:
        if order.offer_id != offer.id or order.source != "manual":
            raise NotPossibleNow("Another order has this id.")
        return order
    bought = Bought(quantity=body.quantity, participants=body.participants)
    lines = replace_lines(order, lines_of(order, offer, bought, region))
    pay_by = datetime.now(UTC) + timedelta(days=settings.manual_days)
    await happen(session, order, h.CheckedOut(lines=lines, pay_by=pay_by), cause)
    return order
