"""What staff do to one order (section 1.6)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import select
from starlette.responses import Response

from chassis.concurrency import IfMatch, Seen, set_etag
from chassis.edge import Tx
from chassis.idempotency import Once
from chassis.intake import takes
from chassis.problems import raises
from chassis.texts import ONE_LINE, STORABLE
from services.orders.access import GROUP_BYTES, Config, MoneyStaff, Staff, cause_of, full_card, staff_order
from services.orders.buying.manual import ManualOrder, add_order
from services.orders.desk import actions
from services.orders.desk.views import HistoryView, NoteView, OrderCard, history_view, note_view
from services.orders.errors import BadContact, IdTaken, NotPossibleNow, OfferNotFound, RefundNotFound
from services.orders.order.lines import MOST_LINES
from services.orders.order.tables import HistoryEntry
from services.orders.process.happenings import PartAsked

router = APIRouter(tags=["orders"])

Text = Annotated[str, Field(min_length=1, max_length=4000), STORABLE]


@router.post("/orders", status_code=201, response_model=OrderCard)
@raises(BadContact, IdTaken, NotPossibleNow, OfferNotFound)
async def create_manual_order(body: ManualOrder, caller: Staff, tx: Tx, once: Once, settings: Config) -> Response:
    """ "Add order": a sale outside of the platform; answers with its card (ORD-41, ORD-44..46)."""

    async def command() -> OrderCard:
        order = await add_order(tx, caller.staff_organisation, body, cause_of(caller), settings)
        return await full_card(tx, order)

    return await once.run(tx, 201, command)


@router.patch("/orders/{order_id}")
@takes(GROUP_BYTES)
@raises(BadContact, NotPossibleNow)
async def change_order(
    order_id: UUID,
    body: actions.OrderChange,
    caller: Staff,
    tx: Tx,
    seen: IfMatch,
    settings: Config,
    response: Response,
) -> OrderCard:
    """Correct contact data (ORD-59)."""
    order = await staff_order(tx, order_id, caller, seen)
    await actions.change_order(tx, order, body, cause_of(caller), settings)
    set_etag(response, order.version)
    return await full_card(tx, order)


class PartOfLine(BaseModel):
    """Some of a line, such as one ticket of five; or money alone, while the buyer keeps everything."""

    model_config = ConfigDict(extra="forbid")

    line_id: UUID
    quantity: int | None = Field(default=None, ge=1)
    """How many go back; without it, all that are left."""
    fee_minor: int = Field(default=0, ge=0, le=10**15)
    """Kept of the price of what goes back."""
    amount_minor: int | None = Field(default=None, ge=1, le=10**15)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.amount_minor is not None and (self.quantity is not None or self.fee_minor):
            raise ValueError("an amount is refunded alone, without a quantity or a fee")
        return self

    @property
    def asked(self) -> PartAsked:
        return PartAsked(line_id=self.line_id, quantity=self.quantity, fee=self.fee_minor, amount=self.amount_minor)


class Refund(BaseModel):
    """Of whole lines, of parts of lines, or, without either, of everything that is left."""

    model_config = ConfigDict(extra="forbid")

    line_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=MOST_LINES)
    lines: list[PartOfLine] = Field(default_factory=list, max_length=MOST_LINES)
    reason: Text = "refund"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.lines and self.line_ids:
            raise ValueError("name the lines either in line_ids or in lines")
        return self


class RefundAsked(BaseModel):
    request_id: UUID
    order: OrderCard


@router.post("/orders/{order_id}/refunds", status_code=201, response_model=RefundAsked)
@takes(GROUP_BYTES)
@raises(NotPossibleNow)
async def refund(order_id: UUID, body: Refund, caller: MoneyStaff, tx: Tx, once: Once, seen: Seen) -> Response:
    """Full or partial refund, by lines, quantities or amounts, with or without a fee kept (ORD-57).

    Tickets become void first, then the money goes back.

    What came by card goes back by itself, what came by hand when staff have sent it and confirm that.
    """

    async def command() -> RefundAsked:
        order = await staff_order(tx, order_id, caller, seen)
        request_id = await actions.refund_order(
            tx, order, body.line_ids, tuple(part.asked for part in body.lines), body.reason, cause_of(caller)
        )
        return RefundAsked(request_id=request_id, order=await full_card(tx, order))

    return await once.run(tx, 201, command)


class RefundSent(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reference: Annotated[str, Field(min_length=1, max_length=200), ONE_LINE] | None = None
    """Of the bank transfer or receipt."""
    value_date: date | None = None
    """The day on which the bank booked it."""


@router.post("/orders/{order_id}/refunds/{refund_id}/confirm", response_model=OrderCard)
@raises(NotPossibleNow, RefundNotFound)
async def confirm_refund(
    order_id: UUID,
    refund_id: UUID,
    caller: MoneyStaff,
    tx: Tx,
    once: Once,
    seen: Seen,
    body: RefundSent | None = None,
) -> Response:
    """Staff have sent the money back: ledger, payment status and the letter to the buyer follow (ORD-57).

    Only for what goes back by hand (`by_hand`): what came so, and what the provider has `refused` for good.
    """
    sent = body or RefundSent()

    async def command() -> OrderCard:
        order = await staff_order(tx, order_id, caller, seen)
        await actions.confirm_refund(tx, order, refund_id, cause_of(caller), sent.reference, sent.value_date)
        return await full_card(tx, order)

    return await once.run(tx, 200, command)


class WriteOff(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Text


@router.post("/orders/{order_id}/refunds/{refund_id}/write-off", response_model=OrderCard)
@raises(NotPossibleNow, RefundNotFound)
async def write_off_refund(
    order_id: UUID, refund_id: UUID, body: WriteOff, caller: MoneyStaff, tx: Tx, once: Once, seen: Seen
) -> Response:
    """The money is owed, and there is nobody to send it to: it leaves the list of what is due. The buyer is told
    nothing."""

    async def command() -> OrderCard:
        order = await staff_order(tx, order_id, caller, seen)
        await actions.write_off_refund(tx, order, refund_id, body.reason, cause_of(caller))
        return await full_card(tx, order)

    return await once.run(tx, 200, command)


class NewNote(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Text


@router.post("/orders/{order_id}/notes", status_code=201, response_model=NoteView)
async def add_note(order_id: UUID, body: NewNote, caller: Staff, tx: Tx, once: Once) -> Response:
    """ORD-47."""

    async def command() -> NoteView:
        order = await staff_order(tx, order_id, caller)
        return note_view(await actions.add_note(tx, order, body.text, cause_of(caller)))

    return await once.run(tx, 201, command)


@router.delete("/orders/{order_id}", status_code=204)
@raises(NotPossibleNow)
async def delete_order(order_id: UUID, caller: MoneyStaff, tx: Tx, seen: IfMatch) -> None:
    """Out of the lists; payments and history remain (ORD-54, GAP-21)."""
    order = await staff_order(tx, order_id, caller, seen)
    await actions.delete_order(tx, order, cause_of(caller))


class History(BaseModel):
    items: list[HistoryView]
    next: None = None


@router.get("/orders/{order_id}/history")
async def history(order_id: UUID, caller: Staff, tx: Tx) -> History:
    """Everything that happened to the order, the oldest first, with author and reason (ORD-66)."""
    await staff_order(tx, order_id, caller)
    statement = select(HistoryEntry).where(HistoryEntry.order_id == order_id).order_by(HistoryEntry.id)
    return History(items=[history_view(entry) for entry in await tx.scalars(statement)])
