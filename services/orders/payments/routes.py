"""Card payments: start and retry, the browser's return, and the providers' webhooks."""

from __future__ import annotations

import json
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from chassis.edge import Caller, public
from chassis.idempotency import Once
from chassis.intake import takes
from chassis.logging import get_logger
from chassis.problems import Forbidden, Unauthorised, raises
from services.orders import metrics
from services.orders.access import MONEY_STAFF, Db, Key, access_to, cause_of, provider_of, visible_order
from services.orders.buying.routes import StartedPayment, begin_payment, start
from services.orders.errors import NotPossibleNow, PaymentNotFound, ProviderAway
from services.orders.order import links
from services.orders.order.tables import Order
from services.orders.payments.apply import process_webhook, refresh
from services.orders.payments.begin import open_payment
from services.orders.payments.provider import BadSignature, ProviderError
from services.orders.payments.tables import Payment

router = APIRouter(tags=["payments"])
log = get_logger(__name__)

Anybody = Annotated[Caller, Depends(public())]
LARGEST_WEBHOOK = 1_000_000


@router.post("/orders/{order_id}/payments", status_code=201)
@raises(Forbidden, NotPossibleNow, ProviderAway)
async def pay(request: Request, order_id: UUID, caller: Anybody, key: Key, db: Db, once: Once) -> StartedPayment:
    """Start a card payment, or another one after a refusal. If two succeed, the second goes back by itself."""
    access = await access_to(db, order_id, key, caller, MONEY_STAFF)
    async with db.for_organisation(access.organisation) as session:

        async def command() -> UUID:
            order = await visible_order(session, order_id, lock=True)
            opened = await open_payment(session, order, provider_of(request).name, cause_of(caller, order))
            return opened.id

        payment = await once.within(access.organisation, order_id).run(session, 201, command)
    # Started after the commit, as often as it is asked: it is the same page.
    return await start(request, UUID(json.loads(bytes(payment.body))))


@router.get("/orders/{order_id}/pay", status_code=303, response_class=RedirectResponse)
@raises(Forbidden, NotPossibleNow, ProviderAway)
async def pay_by_link(request: Request, order_id: UUID, caller: Anybody, key: Key, db: Db) -> Response:
    """From the page of an order to the card page: the one that is open, or a new one."""
    access = await access_to(db, order_id, key, caller, MONEY_STAFF)
    async with db.for_organisation(access.organisation) as session:
        order = await visible_order(session, order_id, lock=True)
        payment = await begin_payment(session, request, order, caller)
    if payment is None:
        raise NotPossibleNow("The order does not await a card payment.", stage=order.stage)
    started = await start(request, payment)
    if started.redirect_url is None:
        raise ProviderAway("The card page cannot be opened at the moment. Try again.")
    return RedirectResponse(started.redirect_url, 303)


@router.get("/payments/{payment_id}/return", status_code=303, response_class=RedirectResponse)
async def returned(
    request: Request,
    payment_id: UUID,
    caller: Anybody,
    db: Db,
    key: Annotated[str, Query(description="Signed, in the address that the card page was given")] = "",
) -> Response:
    """The provider sends the browser here. What became of the payment is asked there, never read from the address.

    It leads to the order and all that is in it, so knowing the payment's id is not enough.
    """
    if links.verify_return(key).subject != payment_id:
        raise Unauthorised("The link is about another payment.")
    async with db.as_worker() as session:
        statement = select(Payment, Order).join(Order, Order.id == Payment.order_id).where(Payment.id == payment_id)
        found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise PaymentNotFound("There is no such payment.")
    payment, order = found
    try:
        await refresh(db, provider_of(request, payment.provider), payment_id, "return")
    except ProviderError as error:
        log.warning("payment not known at the buyer's return", payment_id=str(payment_id), error=str(error))
    target = order.return_url or links.order_url(order.id, order.organisation)
    return RedirectResponse(target, 303, headers={"Referrer-Policy": "no-referrer"})


@router.post("/webhooks/{provider}", status_code=200)
@takes(LARGEST_WEBHOOK, json=False)
@raises(ProviderAway)
async def webhook(request: Request, provider: str, caller: Anybody, db: Db) -> dict[str, list[str]]:
    """Signed by the provider over the raw body. Anything but 2xx makes it send the webhook again."""
    adapter = provider_of(request, provider)
    body = await request.body()
    try:
        events = adapter.parse_webhook(dict(request.headers), body)
    except BadSignature as error:
        metrics.WEBHOOKS.labels(adapter.name, "bad signature").inc()
        log.warning("webhook refused", provider=adapter.name, reason=str(error))
        raise Unauthorised("The signature is not the provider's.") from None
    outcomes = []
    for event in events:
        try:
            outcome = await process_webhook(db, adapter, event)
        except ProviderError as error:
            metrics.WEBHOOKS.labels(adapter.name, "provider away").inc()
            log.warning("webhook postponed", provider=adapter.name, event_id=event.id, error=str(error))
            raise ProviderAway("The payment cannot be looked up now. Send the webhook again.") from None
        metrics.WEBHOOKS.labels(adapter.name, outcome).inc()
        outcomes.append(outcome)
    if "early" in outcomes:
        raise ProviderAway("The payment is being started. Send the webhook again.")
    return {"outcomes": outcomes}
