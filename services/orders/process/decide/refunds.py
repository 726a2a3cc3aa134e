"""Money that goes back: asked for by people, answered by providers, or sent by hand."""

from __future__ import annotations

from dataclasses import replace

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
from services.orders.process.settle import settle
from services.orders.process.state import CancelReason, LineState, Refund, State
from services.orders.process.steps import Decision, take_back, taken_back


@on.register
def _refund_asked(happening: h.RefundAsked, state: State) -> Decision:
    live = {line.id for line in state.lines if line.state is LineState.LIVE}
    ids = live if happening.line_ids is None else set(happening.line_ids)
    if state.stage is not FunnelStage.PAID or not ids:
        raise NotPossible("Nothing of the order can be refunded.")
    if not ids <= live:
        raise NotPossible("Some of the lines are not part of the order, or were already refunded.")
    over: Commands = ()
    if ids == live:
        state, over = taken_back(state)
    state, commands = take_back(state, happening.request_id, ids, CancelReason.REFUNDED)
    return settle(state), (*commands, *over)


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
