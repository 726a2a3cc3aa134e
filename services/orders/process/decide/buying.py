"""A wish, the checkout, and another way to pay."""

from __future__ import annotations

from dataclasses import replace

from contracts.orders import FunnelStage
from services.orders.process import happenings as h
from services.orders.process.commands import About, Tell
from services.orders.process.decide.dispatch import NotPossible, on
from services.orders.process.settle import let_go
from services.orders.process.state import State
from services.orders.process.steps import Decision, pay


@on.register
def _wished(happening: h.Wished, state: State) -> Decision:
    if state.stage is not None:
        return state, ()
    return replace(state, stage=happening.stage, lines=happening.lines), (Tell(About.CHANGED),)


@on.register
def _checked_out(happening: h.CheckedOut, state: State) -> Decision:
    if state.stage not in (None, FunnelStage.INTERESTED):
        raise NotPossible("The order was already placed.")
    if state.hold_released:
        raise NotPossible("The seats are no longer held.")
    state = replace(state, stage=FunnelStage.AWAITING_PAYMENT, lines=happening.lines, due_at=happening.pay_by)
    state, paid = pay(state)
    return state, (Tell(About.PLACED), *paid)


@on.register
def _method_changed(happening: h.MethodChanged, state: State) -> Decision:
    if state.stage is not FunnelStage.AWAITING_PAYMENT:
        raise NotPossible("The order does not await payment.")
    return let_go(replace(state, due_at=happening.pay_by)), (Tell(About.CHANGED),)
