"""Money that staff have: entered whole or in parts, and taken back when it was a mistake."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from chassis.concurrency import Seen, etag
from chassis.edge import Tx
from chassis.idempotency import Once
from chassis.problems import raises
from chassis.texts import ONE_LINE
from services.orders.access import Db, MoneyStaff, cause_of, full_card, staff_order
from services.orders.desk.entries import Entry, Line, enter_payment, reverse_entry
from services.orders.desk.views import OrderCard
from services.orders.errors import NotPossibleNow, PaymentNotFound
from services.orders.payments.close import close_open_pages

router = APIRouter(tags=["orders"])


class MarkPaid(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reference: Annotated[str, Field(max_length=200), ONE_LINE] | None = None
    """Of the bank transfer or receipt: the order is found by it."""


@router.post("/orders/{order_id}/mark-paid", response_model=OrderCard)
@raises(NotPossibleNow)
async def mark_paid(
    request: Request,
    order_id: UUID,
    caller: MoneyStaff,
    db: Db,
    once: Once,
    seen: Seen,
    body: MarkPaid | None = None,
) -> Response:
    """Staff have all the money that is missing (ORD-48, ORD-49, ORD-51): open card pages are closed first, then tickets
    are issued."""
    entry = Entry(reference=(body.reference if body else None) or None)
    return await _enter(request, order_id, caller, db, once, seen, entry, 200)


@router.post("/orders/{order_id}/payments/by-hand", status_code=201, response_model=OrderCard)
@raises(NotPossibleNow)
async def enter(
    request: Request, order_id: UUID, body: Entry, caller: MoneyStaff, db: Db, once: Once, seen: Seen
) -> Response:
    """Money that came by bank transfer or in cash, whole or in part; the card shows what is `missing`."""
    return await _enter(request, order_id, caller, db, once, seen, body, 201)


async def _enter(
    request: Request,
    order_id: UUID,
    caller: MoneyStaff,
    db: Db,
    once: Once,
    seen: Seen,
    entry: Entry,
    status: int,
) -> Response:
    headers: dict[str, str] = {}
    async with db.for_organisation(caller.staff_organisation) as session:
        if answer := await once.answered(session):
            return answer
        await staff_order(session, order_id, caller, seen)
    await close_open_pages(db, request.app.state.providers, order_id, cause_of(caller))
    async with db.for_organisation(caller.staff_organisation) as session:

        async def command() -> OrderCard:
            order = await staff_order(session, order_id, caller)
            await enter_payment(session, order, entry, cause_of(caller))
            headers["ETag"] = etag(order.version)
            return await full_card(session, order)

        return await once.run(session, status, command, headers)


class Mistake(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Line


@router.post("/orders/{order_id}/payments/{payment_id}/reverse", response_model=OrderCard)
@raises(NotPossibleNow, PaymentNotFound)
async def reverse(
    order_id: UUID, payment_id: UUID, body: Mistake, caller: MoneyStaff, tx: Tx, once: Once, seen: Seen
) -> Response:
    """A payment was entered by mistake: an order that it alone had paid is cancelled, its tickets are void, and nobody
    is told of a cancellation."""

    async def command() -> OrderCard:
        order = await staff_order(tx, order_id, caller, seen)
        await reverse_entry(tx, order, payment_id, body.reason, cause_of(caller))
        return await full_card(tx, order)

    return await once.run(tx, 200, command)
