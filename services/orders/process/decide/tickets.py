"""What ticketing tells of the tickets of a paid order."""

from __future__ import annotations

from dataclasses import replace

from contracts.orders import FunnelStage
from services.orders.process import happenings as h
from services.orders.process.commands import About, Commands, Tell, TellCancelled
from services.orders.process.decide.dispatch import on
from services.orders.process.settle import drop, settle
from services.orders.process.state import CancelReason, Delivery, LineState, State
from services.orders.process.steps import Decision, taken_back


@on.register
def _tickets_issued(happening: h.TicketsIssued, state: State) -> Decision:
    if state.delivery is not Delivery.REQUESTED:
        return state, ()
    state = replace(state, delivery=Delivery.ISSUED)
    confirmed = (Tell(About.CONFIRMED),) if state.stage is FunnelStage.PAID else ()
    return settle(state), confirmed


@on.register
def _conversion_refused(happening: h.ConversionRefused, state: State) -> Decision:
    """No ticket can be had: everything goes back by itself."""
    if state.delivery is not Delivery.REQUESTED:
        return state, ()
    state = replace(state, delivery=Delivery.REFUSED)
    cancelled: Commands = ()
    if state.stage is FunnelStage.PAID:
        state = replace(
            state, stage=FunnelStage.CANCELLED, cancelled_from=state.stage, cancel_reason=CancelReason.SEATS_UNAVAILABLE
        )
        cancelled = (TellCancelled(was_paid=True, reason=CancelReason.SEATS_UNAVAILABLE),)
    state, posts = drop(state, {line.id for line in state.lines})
    return settle(state), (*cancelled, *posts)


@on.register
def _tickets_voided(happening: h.TicketsVoided, state: State) -> Decision:
    """Void tickets are worth nothing: their money goes back, whoever asked (a cancelled show does so unasked)."""
    if not state.sold:
        return state, ()
    seats = set(happening.seats)
    gone = {x.id for x in state.lines if x.is_seat and (x.request == happening.request_id or x.reference in seats)}
    state, posts = drop(state, gone)
    over: Commands = ()
    if state.stage is FunnelStage.PAID and all(line.state is LineState.GONE for line in state.lines):
        state, over = taken_back(state)
    return settle(state), (*posts, *over)
