"""The catalogue: staff publish offers, anybody sees and orders one."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from chassis.concurrency import IfMatch, check_version, set_etag
from chassis.edge import Caller, Tx, WorkerTx, buyer, public, staff
from chassis.idempotency import Once
from chassis.problems import raises
from contracts.accounts import Role
from contracts.money import Money
from contracts.orders import FunnelStage, OfferKind
from services.orders.access import Config, Db, Staff
from services.orders.buying.basket import Basket
from services.orders.buying.checkout import OfferCheckout, check_out
from services.orders.buying.routes import CheckedOut, answer, begin_payment
from services.orders.buying.wishes import Wish, wish
from services.orders.catalogue.commands import (
    NewOffer,
    OfferChange,
    change_offer,
    find_offer,
    list_offers,
    publish_offer,
)
from services.orders.catalogue.tables import Offer
from services.orders.courses.commands import enter
from services.orders.errors import (
    BadContact,
    IdTaken,
    InvoiceNotOffered,
    NotPossibleNow,
    OfferNotOnSale,
    PriceChanged,
    ProviderAway,
    SkuTaken,
)

router = APIRouter(tags=["catalogue"])

Publisher = Annotated[Caller, Depends(staff(Role.ORGANIZER, Role.SCHOOL_STAFF, Role.STOREKEEPER, Role.PROJECT_HEAD))]
Anybody = Annotated[Caller, Depends(public())]


class OfferView(BaseModel):
    offer_id: UUID
    kind: OfferKind
    sku: str
    name: str
    price: Money
    invoice_allowed: bool
    on_sale: bool
    group: str | None
    version: int


class OfferList(BaseModel):
    items: list[OfferView]
    next: None = None


@router.get("/offers")
async def offers(caller: Staff, tx: Tx, kind: OfferKind | None = None) -> OfferList:
    """The drop-down list of products (CAT-2)."""
    found = await list_offers(tx, caller.staff_organisation, kind)
    return OfferList(items=[_view(offer) for offer in found])


@router.post("/offers", status_code=201, response_model=OfferView)
@raises(SkuTaken)
async def publish(body: NewOffer, caller: Publisher, tx: Tx, once: Once) -> Response:
    """Put a course or goods into the catalogue."""

    async def command() -> OfferView:
        return _view(await publish_offer(tx, caller.staff_organisation, body))

    return await once.run(tx, 201, command)


@router.get("/offers/{offer_id}")
async def offer(offer_id: UUID, caller: Anybody, tx: WorkerTx, response: Response) -> OfferView:
    """One offer, as its page shows it."""
    found = await find_offer(tx, offer_id)
    set_etag(response, found.version)
    return _view(found)


@router.patch("/offers/{offer_id}")
async def change(
    offer_id: UUID, body: OfferChange, caller: Publisher, tx: Tx, seen: IfMatch, response: Response
) -> OfferView:
    """Change name, price, or whether it is sold and by invoice (SET-1)."""
    found = await find_offer(tx, offer_id, caller.staff_organisation, lock=True)
    check_version(seen, found.version)
    await change_offer(tx, found, body)
    set_etag(response, found.version)
    return _view(found)


@router.post("/offers/{offer_id}/orders", status_code=201)
@raises(BadContact, IdTaken, InvoiceNotOffered, NotPossibleNow, OfferNotOnSale, PriceChanged, ProviderAway)
async def order_offer(
    request: Request, offer_id: UUID, body: OfferCheckout, caller: Anybody, db: Db, settings: Config
) -> CheckedOut:
    """Buy a course or goods (ORD-40)."""
    async with db.as_worker() as session:
        found = await find_offer(session, offer_id)
    async with db.for_organisation(found.organisation) as session:
        basket = Basket(found.organisation, found.currency, offers=((found, body),))
        order = await check_out(session, body.order_id, basket, body, caller, settings)
        payment = await begin_payment(session, request, order, caller)
    return await answer(request, order, payment)


class Wished(BaseModel):
    order_id: UUID
    stage: FunnelStage


@router.post("/offers/{offer_id}/wishes", status_code=201)
async def wish_for(offer_id: UUID, body: Wish, caller: Annotated[Caller, Depends(buyer())], tx: WorkerTx) -> Wished:
    """ "Add to wish list" and "Watch the price" (ORD-31, ORD-32, ORD-37)."""
    order = await wish(tx, await find_offer(tx, offer_id), body, caller)
    return Wished(order_id=order.id, stage=body.stage)


class Course(BaseModel):
    """What a student sees behind the access address."""

    enrolment_id: UUID
    offer_id: UUID
    course: str
    student: str
    group: str | None


@router.get("/learn/{token}")
async def learn(token: Annotated[str, Path(max_length=100)], caller: Anybody, tx: WorkerTx) -> Course:
    """The course that a student paid for; closed again when the money went back (ORD-50, ROL-5)."""
    enrolment = await enter(tx, token)
    return Course(
        enrolment_id=enrolment.id,
        offer_id=enrolment.offer_id,
        course=enrolment.course,
        student=enrolment.student_name,
        group=enrolment.group_name,
    )


def _view(offer: Offer) -> OfferView:
    return OfferView(
        offer_id=offer.id,
        kind=OfferKind(offer.kind),
        sku=offer.sku,
        name=offer.name,
        price=Money(minor=offer.price, currency=offer.currency),
        invoice_allowed=offer.invoice_allowed,
        on_sale=offer.on_sale,
        group=offer.group_name,
        version=offer.version,
    )
