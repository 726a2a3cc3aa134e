"""The catalogue of courses and goods (CAT-1, CAT-2, SET-1)."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from chassis import outbox
from chassis.patches import changes
from chassis.texts import NAMING, Named
from contracts.money import KNOWN, Money
from contracts.orders import OfferChanged, OfferKind, OfferPublished
from services.orders.catalogue.tables import Offer
from services.orders.errors import OfferNotFound, SkuTaken

DEAREST = 10**12
"""So that a thousand of them still fit into an amount of the contracts."""


def _sensible(price: Money) -> Money:
    if not 0 <= price.minor <= DEAREST:
        raise ValueError(f"a price is between 0 and {DEAREST} minor units")
    if price.currency not in KNOWN:
        raise ValueError(f"{price.currency} is not a currency of ISO 4217")
    return price


Price = Annotated[Money, AfterValidator(_sensible)]


class NewOffer(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    kind: OfferKind
    sku: Annotated[str, Field(min_length=1, max_length=64), NAMING]
    name: Named
    price: Price
    invoice_allowed: bool = False
    """Whether "Order an invoice" is offered (ORD-39)."""
    on_sale: bool = True
    group: Named | None = None
    """The group that students of a course join (ORD-50)."""


class OfferChange(BaseModel):
    """What is left out stays. A group that is null is removed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: Named | None = None
    price_minor: int | None = Field(default=None, ge=0, le=DEAREST)
    invoice_allowed: bool | None = None
    on_sale: bool | None = None
    group: Named | None = None


async def publish_offer(session: AsyncSession, organisation: UUID, body: NewOffer) -> Offer:
    """Raises `SkuTaken`."""
    offer = Offer(
        id=uuid7(),
        organisation=organisation,
        kind=body.kind.value,
        sku=body.sku,
        name=body.name,
        price=body.price.minor,
        currency=body.price.currency,
        invoice_allowed=body.invoice_allowed,
        on_sale=body.on_sale,
        group_name=body.group,
        version=1,
    )
    session.add(offer)
    try:
        await session.flush()
    except IntegrityError as error:
        if "uq_offers_organisation_sku" not in str(error.orig):
            raise
        raise SkuTaken(f"Another offer has the article number {body.sku}.") from None
    outbox.add(session, OfferPublished(**_fields(offer)), organisation=organisation, version=offer.version)
    return offer


async def change_offer(session: AsyncSession, offer: Offer, change: OfferChange) -> None:
    """Orders that were placed keep their price."""
    values = changes(change, "group")
    if "price_minor" in values:
        offer.price = values.pop("price_minor")
    if "group" in values:
        offer.group_name = values.pop("group")
    for name, value in values.items():
        setattr(offer, name, value)
    offer.version += 1
    outbox.add(session, OfferChanged(**_fields(offer)), organisation=offer.organisation, version=offer.version)
    await session.flush()


async def find_offer(
    session: AsyncSession, offer_id: UUID, organisation: UUID | None = None, *, lock: bool = False
) -> Offer:
    """Raises `OfferNotFound`."""
    statement = select(Offer).where(Offer.id == offer_id)
    if organisation is not None:
        statement = statement.where(Offer.organisation == organisation)
    offer = (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()
    if offer is None:
        raise OfferNotFound("There is no offer with this id in the catalogue.")
    return offer


async def list_offers(session: AsyncSession, organisation: UUID, kind: OfferKind | None) -> list[Offer]:
    statement = select(Offer).where(Offer.organisation == organisation)
    if kind is not None:
        statement = statement.where(Offer.kind == kind.value)
    return list(await session.scalars(statement.order_by(Offer.name, Offer.id)))


def _fields(offer: Offer) -> dict[str, Any]:
    return {
        "offer_id": offer.id,
        "kind": OfferKind(offer.kind),
        "sku": offer.sku,
        "name": offer.name,
        "price": Money(minor=offer.price, currency=offer.currency),
        "invoice_allowed": offer.invoice_allowed,
        "on_sale": offer.on_sale,
    }
