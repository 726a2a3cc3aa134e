"""Steps that several transitions share: becoming paid, cancelling, taking lines back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from contracts.orders import FunnelStage, LineKind
from services.orders.process.commands import (
    About,
    Account,
    Commands,
    Money,
    OpenEnrolments,
    Post,
    RevokeTickets,
    Tell,
    TellCancelled,
    TellPayment,
    TellRefunded,
    TellTakenBack,
)
from services.orders.process.line import Line, Return
from services.orders.process.settle import let_go, replace_lines, sale, settle
from services.orders.process.state import CancelReason, Delivery, Origin, Payment, Refund, RefundStage, State

Decision = tuple[State, Commands]


def welcomes_money(state: State) -> bool:
    late = state.stage is FunnelStage.CANCELLED and state.cancel_reason is CancelReason.EXPIRED
    return not state.sold and (state.stage is FunnelStage.AWAITING_PAYMENT or late)


def pay(state: State) -> Decision:
    """The transition to paid: also of an expired order, whose same seats are then asked for again."""
    if not welcomes_money(state) or state.money < state.total:
        return state, ()
    state = let_go(
        replace(state, stage=FunnelStage.PAID, sold=True, due_at=None, cancelled_from=None, cancel_reason=None)
    )
    state = replace(state, lines=tuple(map(_opened, state.lines)))
    if state.has_tickets:
        return replace(state, delivery=Delivery.REQUESTED), (*sale(state), Tell(About.PAID), *enrol(state))
    return state, (*sale(state), Tell(About.PAID), *enrol(state), Tell(About.CONFIRMED))


def _opened(line: Line) -> Line:
    """A course is open from the moment it is paid."""
    return replace(line, given=line.quantity) if line.kind == LineKind.COURSE else line


def enrol(state: State) -> Commands:
    return (OpenEnrolments(),) if any(line.kind == LineKind.COURSE for line in state.lines) else ()


def cancel_unpaid(state: State, reason: CancelReason, note: str = "") -> Decision:
    """Nobody is told (ORD-52); ticketing frees the seats."""
    state = let_go(
        replace(
            state,
            stage=FunnelStage.CANCELLED,
            cancelled_from=state.stage,
            cancel_reason=reason,
            due_at=None,
        )
    )
    return settle(state), (TellCancelled(was_paid=False, reason=note or reason),)


def cancel_paid(state: State, request: UUID, reason: CancelReason, note: str = "") -> Decision:
    """Tickets become void first, then the money goes back (ORD-53)."""
    state, commands = _end_paid(state, request, reason)
    return settle(state), (*commands, TellCancelled(was_paid=True, reason=note or reason))


def cancel_quietly(state: State, request: UUID, reason: CancelReason) -> Decision:
    """As if it had never been paid: nobody is told (ORD-52)."""
    state, commands = _end_paid(state, request, reason)
    return settle(state), (*commands, TellCancelled(was_paid=False, reason=reason))


def _end_paid(state: State, request: UUID, reason: CancelReason) -> Decision:
    parts = {line.id: line.part(request=request) for line in state.lines if line.left}
    state = replace(state, stage=FunnelStage.CANCELLED, cancelled_from=state.stage, cancel_reason=reason, due_at=None)
    return take_back(let_go(state), request, parts, "cancelled")


def take_back(state: State, request: UUID, parts: Mapping[UUID, Return], reason: str) -> Decision:
    """Takes parts of lines back, by the line's id. Tickets are asked to become void, the rest is gone at once."""
    revoked = [line for line in state.lines if line.id in parts and line.is_ticket and parts[line.id].quantity]
    waiting = {line.id for line in revoked}
    lines = [
        line.with_return(replace(parts[line.id], gone=line.id not in waiting))
        for line in state.lines
        if line.id in parts
    ]
    state, posts = replace_lines(state, lines)
    revoke = []
    for hold in dict.fromkeys(line.hold for line in revoked):
        own = [line for line in revoked if line.hold == hold]
        seats = tuple(line.reference for line in own if line.kind == LineKind.SEAT)
        places = tuple((line.id, parts[line.id].quantity) for line in own if line.kind != LineKind.SEAT)
        revoke.append(RevokeTickets(request=request, hold=hold, seats=seats, places=places, reason=reason))
    return state, (*posts, *revoke)


def taken_back(state: State) -> Decision:
    state = replace(state, stage=FunnelStage.CANCELLED, cancelled_from=state.stage, cancel_reason=CancelReason.REFUNDED)
    return state, (TellTakenBack(reason=CancelReason.REFUNDED),)


def losing_money(state: State, before: Payment, after: Payment) -> Decision:
    """A hold lapsed at the provider: the order is not paid any more, so its tickets cannot stay."""
    lapsed = before.counted > after.counted
    if not (lapsed and state.sold and state.stage is FunnelStage.PAID and state.money < state.value):
        return state, ()
    return cancel_paid(state, after.id, CancelReason.PAYMENT_LOST)


def losing_all(state: State, request: UUID, reason: CancelReason) -> Decision:
    """Nothing of the money is left, whoever gave it back. Of a part, staff decide what it was for."""
    if not (state.sold and state.stage is FunnelStage.PAID and state.value > 0 and state.money <= 0):
        return state, ()
    return cancel_paid(state, request, reason)


def given_back(state: State, refund: Refund, stage: RefundStage) -> Decision:
    """The buyer has the money of a refund: `stage` tells by whom."""
    state = state.with_refund(replace(refund, stage=stage))
    full = state.received <= state.refunded and (state.value == 0 or state.money <= 0)
    is_surplus = refund.origin is Origin.ORDER and state.stage is FunnelStage.PAID and not refund.line_ids
    reasons = {Origin.PROVIDER: "at_provider", Origin.DISPUTE: CancelReason.DISPUTE_LOST.value}
    own = "surplus" if is_surplus else state.cancel_reason or CancelReason.REFUNDED
    quiet = is_surplus or refund.origin is Origin.DISPUTE
    return state, (
        Post(debit=Account.BUYER, credit=Account.CASH, amount=refund.amount, why="refunded", payment=refund.payment),
        TellPayment(
            what=Money.REFUNDED,
            payment=refund.payment,
            amount=refund.amount,
            refund=refund.id,
            reason=reasons.get(refund.origin, own),
        ),
        Tell(About.CHANGED)
        if quiet
        else TellRefunded(refund=refund.id, amount=refund.amount, line_ids=refund.line_ids, full=full),
    )


def came_back(refund: Refund, reason: str) -> Commands:
    """A refund that was done has failed: the money is ours again."""
    return (
        Post(
            debit=Account.CASH,
            credit=Account.BUYER,
            amount=refund.amount,
            why="refund came back",
            payment=refund.payment,
        ),
        TellPayment(
            what=Money.REFUND_FAILED,
            payment=refund.payment,
            amount=refund.amount,
            refund=refund.id,
            reason=reason,
            came_back=True,
        ),
        Tell(About.CHANGED),
    )
