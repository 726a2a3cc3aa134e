"""Steps that several transitions share: becoming paid, cancelling, taking lines back."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from contracts.orders import FunnelStage
from services.orders.process.commands import (
    About,
    Commands,
    OpenEnrolments,
    RevokeTickets,
    Tell,
    TellCancelled,
    TellTakenBack,
)
from services.orders.process.settle import drop, let_go, sale, settle
from services.orders.process.state import CancelReason, Delivery, LineState, State

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
    if state.has_seats:
        return replace(state, delivery=Delivery.REQUESTED), (*sale(state), Tell(About.PAID), *enrol(state))
    return state, (*sale(state), Tell(About.PAID), *enrol(state), Tell(About.CONFIRMED))


def enrol(state: State) -> Commands:
    return (OpenEnrolments(),) if any(not line.is_seat for line in state.lines) else ()


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
    live = {line.id for line in state.lines if line.state is LineState.LIVE}
    state = replace(state, stage=FunnelStage.CANCELLED, cancelled_from=state.stage, cancel_reason=reason, due_at=None)
    state, commands = take_back(let_go(state), request, live, "cancelled")
    return settle(state), (*commands, TellCancelled(was_paid=True, reason=note or reason))


def take_back(state: State, request: UUID, ids: set[UUID], reason: str) -> Decision:
    lines = tuple(replace(x, state=LineState.LEAVING, request=request) if x.id in ids else x for x in state.lines)
    state = replace(state, lines=lines)
    seats = tuple(x.reference for x in lines if x.id in ids and x.is_seat)
    state, posts = drop(state, {x.id for x in lines if x.id in ids and not x.is_seat})
    revoke = (RevokeTickets(request=request, seats=seats, reason=reason),) if seats else ()
    return state, (*posts, *revoke)


def taken_back(state: State) -> Decision:
    state = replace(state, stage=FunnelStage.CANCELLED, cancelled_from=state.stage, cancel_reason=CancelReason.REFUNDED)
    return state, (TellTakenBack(reason=CancelReason.REFUNDED),)


def losing_money(state: State, payment_id: UUID) -> Decision:
    """A hold lapsed at the provider: the order is not paid any more, so its tickets cannot stay."""
    if not state.sold or state.stage is not FunnelStage.PAID or state.money >= state.value:
        return state, ()
    return cancel_paid(state, payment_id, CancelReason.PAYMENT_LOST)
