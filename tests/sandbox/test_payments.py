"""Whatever is done to a payment in whatever order, no money is made or lost."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox import payments
from deploy.sandbox.cards import BY_NAME, CARDS
from deploy.sandbox.payments import Amount, Payment, Refused, Status
from deploy.sandbox.settings import SandboxSettings

SETTINGS = SandboxSettings(hold_seconds=50, short_hold_seconds=5, refund_seconds=3)
ASKED = 1000

steps = st.one_of(
    st.tuples(st.just("pay"), st.sampled_from(CARDS)),
    st.tuples(st.just("confirm"), st.booleans()),
    st.tuples(st.just("capture"), st.none() | st.integers(1, 2 * ASKED)),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("refund"), st.none() | st.integers(1, 2 * ASKED)),
    st.tuples(st.just("wait"), st.floats(0, 30)),
)


def fresh(capture: str = "automatic") -> Payment:
    amount = Amount(minor=ASKED, currency="UAH")
    return Payment(
        id="pay_1",
        reference="r",
        amount=amount,
        return_url="http://shop.test/",
        capture=capture,  # type: ignore[arg-type]
        created_at=0,
        due_at=1000,
    )


def apply(payment: Payment, step: str, argument: object, now: float) -> list[str]:
    match step:
        case "pay":
            return payments.pay(payment, argument, SETTINGS, now)  # type: ignore[arg-type]
        case "confirm":
            return payments.confirm(payment, bool(argument), SETTINGS, now)
        case "capture":
            return payments.capture(payment, argument)  # type: ignore[arg-type]
        case "cancel":
            return payments.cancel(payment)
        case "refund":
            return payments.refund(payment, argument, "", SETTINGS, now)[1]  # type: ignore[arg-type]
        case _:
            return []


@given(st.sampled_from(["automatic", "manual"]), st.lists(steps, max_size=15))
def test_money_is_conserved_and_final_states_are_final(capture, script):
    payment, now, events = fresh(capture), 0.0, []
    for step, argument in script:
        now += argument if step == "wait" else 0
        before = payment.status
        events += payments.pass_time(payment, now)
        with contextlib.suppress(Refused):
            events += apply(payment, step, argument, now)
        if before in (Status.RECEIVED, Status.CANCELLED, Status.EXPIRED):
            assert payment.status is before
    payments.pass_time(payment, now + 10_000)
    assert 0 <= payment.refunded <= payment.captured <= ASKED
    assert payment.refunded + payment.refundable == payment.captured
    assert (payment.captured > 0) == (payment.status is Status.RECEIVED)
    assert events.count("payment.received") == (payment.status is Status.RECEIVED)


@given(st.lists(steps, max_size=15))
def test_a_refused_step_changes_nothing(script):
    payment = fresh()
    for step, argument in script:
        before = payment.model_dump()
        try:
            apply(payment, step, argument, now=0)
        except Refused:
            assert payment.model_dump() == before


def test_a_hold_lapses_when_its_time_is_over():
    payment = fresh()
    payments.pay(payment, BY_NAME["hold_expires"], SETTINGS, now=10)
    assert payments.pass_time(payment, 14.9) == []
    assert payments.pass_time(payment, 15) == ["payment.expired"]
    assert (payment.status, payment.reason) == (Status.EXPIRED, "hold_expired")


def test_a_failed_refund_can_be_made_again():
    payment = fresh()
    payments.pay(payment, BY_NAME["refund_fails"], SETTINGS, now=0)
    payments.refund(payment, None, "", SETTINGS, now=0)
    assert payment.refundable == 0
    assert payments.pass_time(payment, 3) == ["refund.failed"]
    assert (payment.refunded, payment.refundable) == (0, ASKED)
