"""What ticketing tells of the tickets of a paid order, of one hold at a time."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from contracts.orders import FunnelStage, LineKind
from services.orders.process import happenings as h
from services.orders.process.commands import About, Commands, Tell, TellCancelled
from services.orders.process.decide.dispatch import on
from services.orders.process.line import Line, LineState
from services.orders.process.settle import replace_lines, settle
from services.orders.process.state import CancelReason, Delivery, State
from services.orders.process.steps import Decision, taken_back


@on.register
def _tickets_issued(happening: h.TicketsIssued, state: State) -> Decision:
    if state.delivery is not Delivery.REQUESTED:
        return state, ()
    given = [replace(line, given=line.quantity) for line in _of_hold(state, happening.hold)]
    state, _ = replace_lines(state, given)
    return _delivered(state, Delivery.ISSUED)


@on.register
def _conversion_refused(happening: h.ConversionRefused, state: State) -> Decision:
    """What one hold cannot have goes back by itself, what others have stays."""
    lines = [line for line in _of_hold(state, happening.hold) if not line.given]
    if state.delivery is not Delivery.REQUESTED or not lines:
        return state, ()
    state, posts = replace_lines(state, [line.with_return(line.part()).void() for line in lines])
    if not state.all_gone:
        state, commands = _delivered(state, Delivery.ISSUED)
        return state, (*posts, *commands)
    cancelled: Commands = ()
    if state.stage is FunnelStage.PAID:
        state = replace(
            state, stage=FunnelStage.CANCELLED, cancelled_from=state.stage, cancel_reason=CancelReason.SEATS_UNAVAILABLE
        )
        cancelled = (TellCancelled(was_paid=True, reason=CancelReason.SEATS_UNAVAILABLE),)
    state, _ = _delivered(state, Delivery.REFUSED)
    return state, (*cancelled, *posts)


def _of_hold(state: State, hold: UUID | None) -> list[Line]:
    return [line for line in state.lines if line.is_ticket and line.hold == hold]


def _delivered(state: State, outcome: Delivery) -> Decision:
    """Once every hold was answered for."""
    if any(line.is_ticket and not line.given and line.state is not LineState.GONE for line in state.lines):
        return settle(state), ()
    state = replace(state, delivery=outcome)
    confirmed = (Tell(About.CONFIRMED),) if state.stage is FunnelStage.PAID else ()
    return settle(state), confirmed


@on.register
def _tickets_voided(happening: h.TicketsVoided, state: State) -> Decision:
    """Void tickets are worth nothing: their money goes back, whoever asked (a cancelled show does so unasked)."""
    if not state.sold:
        return state, ()
    lines = [_voided(line, happening) for line in _of_hold(state, happening.hold)]
    state, posts = replace_lines(state, lines)
    over: Commands = ()
    if state.stage is FunnelStage.PAID and state.all_gone:
        state, over = taken_back(state)
    return settle(state), (*posts, *over)


def _voided(line: Line, happening: h.TicketsVoided) -> Line:
    """What the request asked back of the line is gone. What nobody asked back is named by seat, or counted."""
    request = happening.request_id
    if any(r.request == request for r in line.returns):
        return line.void((request,))
    if line.kind == LineKind.SEAT:
        void = int(line.reference in happening.seats)
    else:
        void = sum(quantity for line_id, quantity in happening.places if line_id == line.id)
    unasked = min(void, line.left)
    if unasked:
        line = line.with_return(replace(line.part(unasked, request=request), gone=True))
    return line.void() if void > unasked else line
