"""What a buyer does: check out, open the order by its signed link or signed in, cancel what is not paid."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from chassis import context
from chassis.concurrency import Seen, check_version, etag
from chassis.edge import Caller, WorkerTx, buyer, public
from chassis.idempotency import Once
from chassis.intake import takes
from chassis.logging import get_logger
from chassis.problems import Forbidden, raises
from chassis.texts import STORABLE
from contracts.orders import FunnelStage
from services.orders.access import (
    CHECKOUT_BYTES,
    MONEY_STAFF,
    Config,
    Db,
    Key,
    access_to,
    cause_of,
    full_card,
    plain_card,
    provider_of,
    visible_order,
)
from services.orders.buying.basket import fill_basket, read_quotes
from services.orders.buying.checkout import Checkout, check_out
from services.orders.buying.page import HEADERS, order_page
from services.orders.desk import actions
from services.orders.desk.table_routes import OrderList
from services.orders.desk.views import OrderCard, OrderRow, row_view
from services.orders.errors import (
    BadContact,
    BadQuote,
    HoldOver,
    IdTaken,
    InvoiceNotOffered,
    NotPossibleNow,
    OfferNotFound,
    OfferNotOnSale,
    PriceChanged,
    ProviderAway,
    ShowMoved,
    ShowNotOnSale,
)
from services.orders.known import Organisation
from services.orders.order import links, load
from services.orders.order.tables import Order, OrderLine
from services.orders.payments.begin import open_payment, open_payment_of, start_at_provider
from services.orders.payments.provider import ProviderError
from services.orders.process.state import CancelReason

router = APIRouter(tags=["buyers"])
log = get_logger(__name__)

Anybody = Annotated[Caller, Depends(public())]


class StartedPayment(BaseModel):
    payment_id: UUID
    redirect_url: str | None
    """The card page; null while the provider does not answer: ask for the payment again in a moment."""


class CheckedOut(BaseModel):
    order: OrderCard
    order_key: str
    """Opens the order without an account: header `Order-Key`, or `?key=`."""
    payment: StartedPayment | None
    """None for an invoice, and for an order that costs nothing."""


@router.post("/orders/{order_id}/checkout", status_code=201)
@takes(CHECKOUT_BYTES)
@raises(
    BadContact,
    BadQuote,
    HoldOver,
    IdTaken,
    InvoiceNotOffered,
    NotPossibleNow,
    OfferNotFound,
    OfferNotOnSale,
    PriceChanged,
    ProviderAway,
    ShowMoved,
    ShowNotOnSale,
)
async def checkout(
    request: Request, order_id: UUID, body: Checkout, caller: Anybody, db: Db, settings: Config
) -> CheckedOut:
    """Order the seats of holds, courses and goods, as one order (ORD-4, ORD-29, ORD-38).

    Prices come from the signed quotes and the catalogue alone.
    """
    context.bind(order_id=order_id)
    tokens = [body.quote] if body.quote else body.quotes
    read = await read_quotes(request.app.state.quote_keys, tokens)
    if body.quote and read[0].hold_id != order_id:
        raise BadQuote("The quote belongs to another hold: the order has the id of its hold.")
    async with db.as_worker() as session:
        basket = await fill_basket(session, read, body.items)
    async with db.for_organisation(basket.organisation) as session:
        order = await check_out(session, order_id, basket, body, caller, settings)
        payment = await begin_payment(session, request, order, caller)
    return await answer(request, order, payment)


async def begin_payment(session: Any, request: Request, order: Order, caller: Caller) -> UUID | None:
    """A payment for a card order, or the one whose page is open already."""
    if order.stage != FunnelStage.AWAITING_PAYMENT or order.payment_method != "card":
        return None
    current = open_payment_of(order)
    if current is None:
        current = await open_payment(session, order, provider_of(request).name, cause_of(caller, order))
    return current.id


async def answer(request: Request, order: Order, payment: UUID | None) -> CheckedOut:
    """After the commit: the provider is asked for the card page."""
    started = await start(request, payment) if payment else None
    async with request.app.state.db.for_organisation(order.organisation) as session:
        fresh = await load(session, order.id, lock=False) or order
    return CheckedOut(order=plain_card(fresh), order_key=links.order_key(order.id, order.organisation), payment=started)


async def start(request: Request, payment_id: UUID) -> StartedPayment:
    url = None
    try:
        url = await start_at_provider(request.app.state.db, provider_of(request), payment_id)
    except ProviderError as error:
        # The order stands; the job asks again, and the buyer can.
        log.warning("card page not started", payment_id=str(payment_id), error=str(error))
    return StartedPayment(payment_id=payment_id, redirect_url=url)


@router.get("/orders/{order_id}", response_model=OrderCard, responses={200: {"content": {"text/html": {"schema": {}}}}})
async def open_order(request: Request, order_id: UUID, caller: Anybody, key: Key, db: Db) -> Response:
    """The order card (ORD-23, ORD-24); a browser that opens the signed link gets a page."""
    access = await access_to(db, order_id, key, caller)
    async with db.for_organisation(access.organisation) as session:
        order = await visible_order(session, order_id)
        if key is not None and "text/html" in request.headers.get("accept", ""):
            organisation = await session.get(Organisation, order.organisation)
            zone = organisation.time_zone if organisation else "UTC"
            return HTMLResponse(order_page(order, key, zone), headers=HEADERS)
        card = await full_card(session, order) if access.as_staff else plain_card(order)
    headers = {"ETag": etag(order.version), "Cache-Control": "no-store"}
    return JSONResponse(card.model_dump(mode="json"), headers=headers)


class Cancel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=500), STORABLE] = ""
    """In the person's own words."""


@router.post("/orders/{order_id}/cancel", response_model=OrderCard)
@raises(Forbidden, NotPossibleNow)
async def cancel(
    order_id: UUID, caller: Anybody, key: Key, db: Db, once: Once, seen: Seen, body: Cancel | None = None
) -> Response:
    """Staff cancel any order (ORD-52, ORD-53), a buyer one that is not paid (ORD-86)."""
    access = await access_to(db, order_id, key, caller, MONEY_STAFF)
    headers: dict[str, str] = {}
    async with db.for_organisation(access.organisation) as session:

        async def command() -> OrderCard:
            order = await visible_order(session, order_id, lock=True)
            if seen is not None:
                check_version(seen, order.version)
            if not access.as_staff and order.stage == FunnelStage.PAID:
                raise NotPossibleNow("A paid order is cancelled by the organiser: ask for a refund.")
            reason = CancelReason.BY_STAFF if access.as_staff else CancelReason.BY_BUYER
            await actions.cancel_order(session, order, reason, cause_of(caller, order), body.reason if body else "")
            headers["ETag"] = etag(order.version)
            return await full_card(session, order) if access.as_staff else plain_card(order)

        return await once.within(access.organisation, order_id).run(session, 200, command, headers)


@router.get("/my-orders")
async def my_orders(caller: Annotated[Caller, Depends(buyer())], tx: WorkerTx) -> OrderList:
    """The orders of the signed-in buyer, in whatever organisation; the newest first (CUS-11)."""
    quantity = (
        select(func.coalesce(func.sum(OrderLine.quantity), 0)).where(OrderLine.order_id == Order.id).scalar_subquery()
    )
    statement = (
        select(Order, quantity)
        .where(Order.account_id == caller.account_id, Order.deleted_at.is_(None))
        .order_by(Order.created_at.desc(), Order.id)
        .limit(200)
    )
    rows = await tx.execute(statement)
    return OrderList(items=[OrderRow(**row_view(order, int(count))) for order, count in rows], next=None)
