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
)
from services.orders.process.decide.dispatch import NotPossible, on
from services.orders.process.line import Line, Return
from services.orders.process.settle import settle
from services.orders.process.state import GONE_BACK, CancelReason, Refund, RefundStage, State
from services.orders.process.steps import Decision, came_back, given_back, take_back, taken_back

MOST_FAILURES = 5
"""Attempts of one refund that a provider may refuse before people send it by hand."""
TRIED = (RefundStage.PENDING, RefundStage.DONE, RefundStage.WITHDRAWN)
"""Attempts under way, and those that may still fail after they were done."""


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
    refund = state.refund(happening.refund_id)
    if refund is None or refund.stage in (*GONE_BACK, RefundStage.WRITTEN_OFF) or happening.attempt != refund.failures:
        return state, ()
    state, commands = given_back(state, refund, RefundStage.DONE)
    return settle(state), commands


@on.register
def _refund_confirmed(happening: h.RefundConfirmed, state: State) -> Decision:
    """What a provider sends back, the provider confirms; what it refused for good, people send."""
    return given_back(state, _by_hand(state, happening.refund_id), RefundStage.SENT)


@on.register
def _refund_written_off(happening: h.RefundWrittenOff, state: State) -> Decision:
    refund = _by_hand(state, happening.refund_id)
    return state.with_refund(replace(refund, stage=RefundStage.WRITTEN_OFF)), (
        Post(
            debit=Account.BUYER,
            credit=Account.WRITTEN_OFF,
            amount=refund.amount,
            why="written off",
            payment=refund.payment,
        ),
        TellPayment(what=Money.REFUND_WRITTEN_OFF, payment=refund.payment, amount=refund.amount, refund=refund.id),
        Tell(About.CHANGED),
    )


def _by_hand(state: State, refund_id: UUID) -> Refund:
    refund = state.refund(refund_id)
    if refund is not None and (refund.done or refund.stage is RefundStage.WRITTEN_OFF):
        raise NotPossible("The refund was already settled.")
    if refund is None or not state.by_hand(refund):
        raise NotPossible("No money of the order goes back by hand under this id.")
    return refund


@on.register
def _refund_failed(happening: h.RefundFailed, state: State) -> Decision:
    """The money is still owed: it is tried again under another idempotency key, or by hand once that is of no use."""
    refund = state.refund(happening.refund_id)
    if refund is None or happening.attempt != refund.failures or refund.stage not in TRIED:
        return state, ()
    was_done = refund.stage is RefundStage.DONE
    failures = refund.failures + 1
    for_good = happening.final or was_done or failures >= MOST_FAILURES
    stage = refund.stage
    if stage is not RefundStage.WITHDRAWN:
        stage = RefundStage.REFUSED if for_good else RefundStage.PENDING
    state = state.with_refund(replace(refund, failures=failures, stage=stage))
    if was_done:
        return settle(state), came_back(refund, happening.reason)
    if stage is RefundStage.REFUSED:
        told = TellPayment(
            what=Money.REFUND_FAILED,
            payment=refund.payment,
            amount=refund.amount,
            refund=refund.id,
            reason=happening.reason,
        )
        return settle(state), (told, Tell(About.CHANGED))
    return state, (
        RecordRefundFailed(refund=refund.id, payment=refund.payment, amount=refund.amount, reason=happening.reason),
    )
