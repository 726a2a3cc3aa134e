"""What ticketing tells of an order's hold: interest, more time, seats that are free again."""

from __future__ import annotations

from dataclasses import replace

from contracts.orders import FunnelStage
from services.orders.process import happenings as h
from services.orders.process.commands import About, Tell, Unclaim
from services.orders.process.decide.dispatch import on
from services.orders.process.state import CancelReason, State
from services.orders.process.steps import Decision, cancel_unpaid


@on.register
def _hold_placed(happening: h.HoldPlaced, state: State) -> Decision:
    if state.stage is not None:
        return state, ()
    interested = replace(state, stage=FunnelStage.INTERESTED, lines=happening.lines)
    return interested, (Tell(About.INTERESTED),)


@on.register
def _hold_extended(happening: h.HoldExtended, state: State) -> Decision:
    """Staff may give a buyer more time (TKT-20); no other prolongation of a placed order moves its deadline."""
    more = happening.pay_by
    if state.stage is FunnelStage.AWAITING_PAYMENT and more and state.due_at and more > state.due_at:
        return replace(state, due_at=more), (Tell(About.CHANGED),)
    return state, ()


@on.register
def _hold_lapsed(happening: h.HoldLapsed, state: State) -> Decision:
    """Decided under the order's lock: a checkout was before this, and its events answer, or it is refused."""
    if state.stage in (FunnelStage.AWAITING_PAYMENT, FunnelStage.PAID):
        return state, ()
    return replace(state, hold_released=True), (Unclaim(hold=happening.hold),)


@on.register
def _hold_released(happening: h.HoldReleased, state: State) -> Decision:
    state = replace(state, hold_released=True)
    if state.stage is not FunnelStage.AWAITING_PAYMENT or happening.by_expiry:
        # An expired hold of a placed order is asked for again when the money comes.
        return state, ()
    return cancel_unpaid(state, CancelReason.HOLD_RELEASED)
