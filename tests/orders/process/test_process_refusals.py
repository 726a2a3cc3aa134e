"""What people ask for at the wrong time is refused."""

from __future__ import annotations

from uuid import UUID

import pytest

from contracts.orders import FunnelStage
from services.orders.process import NotPossible, decide
from services.orders.process import happenings as h
from services.orders.process.state import CancelReason
from tests.orders.process.histories import (
    CANCEL,
    CHECKOUT,
    CONFIRMED,
    DEADLINE,
    HOLD,
    LATER,
    LET_GO,
    MARK_PAID,
    OPEN_P,
    OPEN_Q,
    PAID,
    PLACED,
    R2,
    REFUND_A,
    REFUND_ALL,
    SEATS,
    VOIDED_A,
    A,
    B,
    R,
    after,
)

WISH = h.Wished(lines=SEATS, stage=FunnelStage.WISHLIST)


def test_the_previous_stage_of_a_cancelled_order_is_kept() -> None:
    assert after(*PLACED, CANCEL)[0].cancelled_from is FunnelStage.AWAITING_PAYMENT
    assert after(*CONFIRMED, CANCEL)[0].cancelled_from is FunnelStage.PAID


@pytest.mark.parametrize(
    "history",
    [
        (*PLACED, CHECKOUT),
        (*PAID, OPEN_Q),
        (*PAID, h.MethodChanged(pay_by=LATER)),
        (*PLACED, DEADLINE, OPEN_Q),
        (*PAID, MARK_PAID),
        (*PLACED, CANCEL, CANCEL),
        (*PLACED, REFUND_ALL),
        (*CONFIRMED, REFUND_A, REFUND_A),
        (*CONFIRMED, REFUND_ALL, REFUND_ALL),
        (HOLD, LET_GO, CHECKOUT),
        (HOLD, h.HoldLapsed(), CHECKOUT),
        (h.HoldLapsed(), CHECKOUT),
        (HOLD, h.HoldReleased(by_expiry=True), CHECKOUT),
        (WISH, CHECKOUT),
        (h.CancelAsked(request_id=R, reason=CancelReason.BY_STAFF),),
        (*PLACED, CANCEL, CHECKOUT),
        (*PLACED, CANCEL, OPEN_Q),
        (*PLACED, CANCEL, MARK_PAID),
        (*PLACED, CANCEL, h.MethodChanged(pay_by=LATER)),
        (HOLD, OPEN_P),
        (HOLD, MARK_PAID),
        (HOLD, h.MethodChanged(pay_by=LATER)),
        (HOLD, REFUND_ALL),
        (*CONFIRMED, h.RefundAsked(request_id=R, line_ids=())),
        (*CONFIRMED, h.RefundAsked(request_id=R, line_ids=(A, UUID(int=3)))),
        (*CONFIRMED, REFUND_A, VOIDED_A, REFUND_A),
        (*CONFIRMED, REFUND_A, h.RefundAsked(request_id=R2, line_ids=(A, B))),
        (*CONFIRMED, CANCEL, REFUND_ALL),
        (*CONFIRMED, h.RefundConfirmed(refund_id=R)),
    ],
)
def test_requests_that_do_not_fit_are_refused(history: tuple[h.Happening, ...]) -> None:
    state, _ = after(*history[:-1])
    with pytest.raises(NotPossible):
        decide(state, history[-1])
