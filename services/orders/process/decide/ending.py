"""Orders that end unasked, and those that a person cancels."""

from __future__ import annotations

from dataclasses import replace

from contracts.orders import FunnelStage
from services.orders.process import happenings as h
from services.orders.process.commands import About, Tell
from services.orders.process.decide.dispatch import NotPossible, on
from services.orders.process.settle import let_go, settle
from services.orders.process.state import PAYABLE, CancelReason, State
from services.orders.process.steps import Decision, cancel_paid, cancel_unpaid


@on.register
def _deadline_passed(happening: h.DeadlinePassed, state: State) -> Decision:
    """First the order expires; its open payments are let go only after a grace, as money may be on its way."""
    if state.due_at is None or happening.now < state.due_at:
        return state, ()
    if state.stage is not FunnelStage.AWAITING_PAYMENT:
        return let_go(replace(state, due_at=None)), ()
    is_open = any(p.stage in PAYABLE for p in state.payments)
    expired = replace(
        state,
        stage=FunnelStage.CANCELLED,
        cancelled_from=state.stage,
        cancel_reason=CancelReason.EXPIRED,
        due_at=happening.grace_until if is_open else None,
    )
    return settle(expired), (Tell(About.EXPIRED),)


@on.register
def _cancel_asked(happening: h.CancelAsked, state: State) -> Decision:
    if state.stage is FunnelStage.PAID:
        return cancel_paid(state, happening.request_id, happening.reason, happening.note)
    if state.stage in (None, FunnelStage.CANCELLED):
        raise NotPossible("The order is already cancelled.")
    return cancel_unpaid(state, happening.reason, happening.note)
