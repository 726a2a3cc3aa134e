"""Money that goes back: asked for by people, answered by providers, or sent by hand."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from contracts.orders import FunnelStage
from services.orders.process import happenings as h
from services.orders.process.commands import (
    About,
    Account,
    Commands,
    Money,
    Post,
    RecordRefundFailed,
    Tell,
    TellPayment,
    TellRefunded,
)
from services.orders.process.decide.dispatch import NotPossible, on
from services.orders.process.line import Line, Return
from services.orders.process.settle import settle
from services.orders.process.state import CancelReason, Refund, State
from services.orders.process.steps import Decision, take_back, taken_back


@on.register
def _refund_asked(happening: h.RefundAsked, state: State) -> Decision:
    parts = _parts(state, happening)
    if state.stage is not FunnelStage.PAID or not parts:
        raise NotPossible("Nothing of the order can be refunded.")
    over: Commands = ()
    if all(line.left == (parts[line.id].quantity if line.id in parts else 0) for line in state.lines) and any(
        part.quantity for part in parts.values()
    ):
        state, over = taken_back(state)
    state, commands = take_back(state, happening.request_id, parts, CancelReason.REFUNDED)
    return settle(state), (*commands, *over)


def _parts(state: State, happening: h.RefundAsked) -> dict[UUID, Return]:
    """What is asked back, by line. Raises `NotPossible` for more than there is."""
    asked = happening.parts or tuple(h.PartAsked(line_id=line) for line in happening.line_ids or ())
    if happening.line_ids is None and not happening.parts:
        asked = tuple(h.PartAsked(line_id=line.id) for line in state.lines if line.left)
    lines = {line.id: line for line in state.lines}
    if len({part.line_id for part in asked}) < len(asked):
        raise NotPossible("A line is named twice.")
    if not {part.line_id for part in asked} <= set(lines):
        raise NotPossible("Some of the lines are not part of the order, or were already refunded.")
    return {part.line_id: _part(lines[part.line_id], part, happening.request_id) for part in asked}


def _part(line: Line, asked: h.PartAsked, request: UUID) -> Return:
    if asked.amount is not None:
        most = line.worth if line.left else line.unreturned
        if not 0 < asked.amount <= most:
            raise NotPossible(f"Between 1 and {most} minor units of the line can be refunded.")
        return Return(request=request, quantity=0, amount=asked.amount)
    if not line.left or (asked.quantity or 0) > line.left:
        raise NotPossible("Some of the lines are not part of the order, or were already refunded.")
    price = line.share(asked.quantity or line.left)
    if asked.fee > price:
        raise NotPossible(f"The fee is more than the price of what goes back, {price} minor units.")
    return line.part(asked.quantity, request=request, fee=asked.fee)


@on.register
def _refund_done(happening: h.RefundDone, state: State) -> Decision:
    refund = next((r for r in state.refunds if r.id == happening.refund_id), None)
    return (state, ()) if refund is None or refund.done else _given_back(state, refund)


@on.register
def _refund_confirmed(happening: h.RefundConfirmed, state: State) -> Decision:
    """What a provider sends back, the provider confirms."""
    refund = next((r for r in state.refunds if r.id == happening.refund_id), None)
    if refund is None or not state.by_hand(refund):
        raise NotPossible("No money of the order goes back by hand under this id.")
    if refund.done:
        raise NotPossible("The refund was already confirmed.")
    return _given_back(state, refund)


def _given_back(state: State, refund: Refund) -> Decision:
    state = _with_refund(state, replace(refund, done=True))
    full = state.received == state.refunded and state.value == 0
    is_surplus = state.stage is FunnelStage.PAID and not refund.line_ids
    return state, (
        Post(debit=Account.BUYER, credit=Account.CASH, amount=refund.amount, why="refunded", payment=refund.payment),
        TellPayment(
            what=Money.REFUNDED,
            payment=refund.payment,
            amount=refund.amount,
            refund=refund.id,
            reason="surplus" if is_surplus else state.cancel_reason or CancelReason.REFUNDED,
        ),
        Tell(About.CHANGED)
        if is_surplus
        else TellRefunded(refund=refund.id, amount=refund.amount, line_ids=refund.line_ids, full=full),
    )


@on.register
def _refund_failed(happening: h.RefundFailed, state: State) -> Decision:
    """The provider refused; the money is still owed, so it is tried again under another idempotency key."""
    refund = next((r for r in state.refunds if r.id == happening.refund_id), None)
    if refund is None or refund.done:
        return state, ()
    failed = RecordRefundFailed(refund=refund.id, payment=refund.payment, amount=refund.amount, reason=happening.reason)
    return _with_refund(state, replace(refund, failures=refund.failures + 1)), (failed,)


def _with_refund(state: State, refund: Refund) -> State:
    return replace(state, refunds=tuple(refund if r.id == refund.id else r for r in state.refunds))
