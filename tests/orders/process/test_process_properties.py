"""The order process under random order, duplication and delay of everything that can happen to an order."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.orders.order.keep import next_poll
from services.orders.process import happenings as h
from services.orders.process.state import MANUAL, CancelReason, DisputeStage, PaymentStage
from tests.orders.process.world import LINES, PAY_BY, START, World

SEATS = st.sampled_from([line.reference for line in LINES])
MISFORTUNES = (
    "lapse",
    "time is up",
    "rival",
    "let go",
    "time",
    "mark paid",
    "cancel",
    "refund",
    "no webhooks",
    "mistake",
    "dashboard",
    "dispute",
    "refunds fail",
)
"""What may end an order early. Each life has only some of them, or few lives would get beyond the first."""
AMOUNTS = st.sampled_from([100, 250, 600, 700])
"""Less than a line, some lines, all of it, and more."""
PAID_HOW = st.sampled_from([PaymentStage.HELD, PaymentStage.RECEIVED, PaymentStage.FAILED])


class OrderLife(RuleBasedStateMachine):
    @initialize(
        cards=st.integers(0, 3),
        how=st.lists(PAID_HOW, max_size=3),
        arrived=st.integers(0, 3),
        lot=st.sets(st.sampled_from(MISFORTUNES), max_size=3),
    )
    def begin(self, cards: int, how: list[PaymentStage], arrived: int, lot: set[str]) -> None:
        """Anywhere in the life of an order: most of what can go wrong needs money first."""
        self.world = World()
        self.world.webhooks = "no webhooks" not in lot
        self.asked = 0
        self.lot = lot
        if cards:
            self.world.happen(h.CheckedOut(lines=LINES, pay_by=PAY_BY))
        for _ in range(cards):
            self.world.open_card()
        for card, stage in zip(self.world.cards, how, strict=False):
            self.world.pay(card, stage)
            self.world.inbox.append(self.world.observe(card))
        for _ in range(arrived):
            self.world.some_time_passes()

    def _request(self) -> UUID:
        self.asked += 1
        return UUID(int=5000 + self.asked)

    def _card(self, number: int) -> UUID | None:
        cards = list(self.world.cards)
        return cards[number % len(cards)] if cards else None

    @rule()
    def checkout(self) -> None:
        self.world.happen(h.CheckedOut(lines=LINES, pay_by=PAY_BY))

    @rule(seconds=st.integers(1, 60))
    def another_method(self, seconds: int) -> None:
        self.world.happen(h.MethodChanged(pay_by=self.world.now + timedelta(seconds=seconds)))

    @rule()
    def open_card(self) -> None:
        if len(self.world.cards) < 3:
            self.world.open_card()

    @rule(number=st.integers(0, 2), how=PAID_HOW)
    def pay(self, number: int, how: PaymentStage) -> None:
        if (card := self._card(number)) is not None:
            self.world.pay(card, how)

    @precondition(lambda self: self.world.webhooks)
    @rule(number=st.integers(0, 2), times=st.integers(1, 3))
    def webhook(self, number: int, times: int) -> None:
        """Fetched now, applied whenever, more than once."""
        if (card := self._card(number)) is not None:
            self.world.inbox += [self.world.observe(card)] * times

    @precondition(lambda self: "lapse" in self.lot)
    @rule(number=st.integers(0, 2))
    def hold_lapses(self, number: int) -> None:
        if (card := self._card(number)) is not None:
            self.world.lapse(card)

    @precondition(lambda self: "time is up" in self.lot)
    @rule()
    def time_is_up(self) -> None:
        self.world.time_is_up()

    @rule(data=st.data(), keep=st.booleans())
    def deliver(self, data: st.DataObject, keep: bool) -> None:
        if self.world.inbox:
            index = data.draw(st.integers(0, len(self.world.inbox) - 1))
            happening = self.world.inbox[index]
            if not keep:
                self.world.inbox.pop(index)
            self.world.happen(happening)

    @rule()
    def messages_arrive(self) -> None:
        self.world.some_time_passes()

    @rule()
    def ticketing_hears(self) -> None:
        self.world.ticketing_hears()

    @precondition(lambda self: "rival" in self.lot)
    @rule(seat=SEATS)
    def rival_takes(self, seat: str) -> None:
        self.world.rival_takes(seat)

    @precondition(lambda self: "let go" in self.lot)
    @rule()
    def buyer_lets_go(self) -> None:
        self.world.buyer_lets_go()

    @rule(number=st.integers(0, 2))
    def provider_is_asked(self, number: int) -> None:
        if (card := self._card(number)) is not None:
            self.world.do_wanted(card)

    @rule(number=st.integers(0, 2))
    def provider_is_polled(self, number: int) -> None:
        card = self._card(number)
        known = self.world.state.payment(card) if card else None
        if known is not None and next_poll(known, self.world.now):
            self.world.inbox.append(self.world.observe(known.id))

    @rule(failing=st.booleans(), final=st.booleans())
    def refunds_are_sent(self, failing: bool, final: bool) -> None:
        self.world.do_refunds(failing=failing, final=final)

    @precondition(lambda self: "refunds fail" in self.lot)
    @rule(number=st.integers(0, 2))
    def a_refund_fails_late(self, number: int) -> None:
        if (card := self._card(number)) is not None:
            self.world.refund_fails_late(card)

    @precondition(lambda self: "dashboard" in self.lot)
    @rule(number=st.integers(0, 2), amount=AMOUNTS)
    def somebody_refunds_at_the_dashboard(self, number: int, amount: int) -> None:
        if (card := self._card(number)) is not None:
            self.world.refund_at_dashboard(card, amount)

    @precondition(lambda self: "dashboard" in self.lot)
    @rule(number=st.integers(0, 2))
    def that_refund_fails(self, number: int) -> None:
        if (card := self._card(number)) is not None:
            self.world.refund_at_dashboard_fails(card)

    @precondition(lambda self: "dispute" in self.lot)
    @rule(number=st.integers(0, 2), amount=AMOUNTS)
    def a_buyer_disputes(self, number: int, amount: int) -> None:
        if (card := self._card(number)) is not None:
            self.world.open_dispute(card, amount)

    @precondition(lambda self: "dispute" in self.lot)
    @rule(number=st.integers(0, 2), how=st.sampled_from([DisputeStage.WON, DisputeStage.LOST]))
    def a_bank_decides(self, number: int, how: DisputeStage) -> None:
        if (card := self._card(number)) is not None:
            self.world.decide_disputes(card, how)
            self.world.others_are_seen(card)

    @precondition(lambda self: "time" in self.lot)
    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)
        self.world.happen(h.DeadlinePassed(now=self.world.now, grace_until=self.world.now + timedelta(seconds=30)))

    @precondition(lambda self: "mark paid" in self.lot)
    @rule()
    def staff_close_the_pages(self) -> None:
        self.world.happen(h.PagesUnwanted())

    @precondition(lambda self: "mark paid" in self.lot)
    @rule()
    def staff_mark_paid(self) -> None:
        self.world.happen(h.MarkedPaid(payment_id=self._request(), at=self.world.now))

    @precondition(lambda self: "mark paid" in self.lot)
    @rule(amount=st.integers(1, 700))
    def staff_enter_a_part_or_too_much(self, amount: int) -> None:
        self.world.happen(h.MarkedPaid(payment_id=self._request(), at=self.world.now, amount=amount))

    @precondition(lambda self: "mistake" in self.lot)
    @rule()
    def staff_take_an_entry_back(self) -> None:
        for payment in self.world.state.payments:
            if payment.provider == MANUAL:
                self.world.happen(h.EntryReversed(payment_id=payment.id))

    @precondition(lambda self: "cancel" in self.lot)
    @rule()
    def somebody_cancels(self) -> None:
        self.world.happen(h.CancelAsked(request_id=self._request(), reason=CancelReason.BY_STAFF))

    @precondition(lambda self: "refund" in self.lot)
    @rule(lines=st.sets(st.sampled_from([line.id for line in LINES])) | st.none())
    def staff_refund(self, lines: set[UUID] | None) -> None:
        chosen = None if lines is None else tuple(lines)
        self.world.happen(h.RefundAsked(request_id=self._request(), line_ids=chosen))

    @invariant()
    def never_more_refunded_than_paid(self) -> None:
        state = self.world.state
        for payment in state.payments:
            if payment.stage is PaymentStage.RECEIVED:
                assert state.refunded_of(payment.id) <= payment.amount

    @invariant()
    def ledger_agrees_with_the_payments(self) -> None:
        state, ledger = self.world.state, self.world.ledger
        assert sum(ledger.values()) == 0
        entered = (PaymentStage.RECEIVED, PaymentStage.REVERSED)
        assert all(p.stage in entered for p in state.payments if p.provider == MANUAL)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.everything_arrives()
            self.world.check_at_rest()


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_straight_sale() -> None:
    """The world itself works: a plain purchase ends with tickets, and the invariants are not satisfied by nothing."""
    world = World()
    world.happen(h.CheckedOut(lines=LINES, pay_by=START + timedelta(hours=1)))
    world.open_card()
    world.pay(next(iter(world.cards)), PaymentStage.HELD)
    world.everything_arrives()
    world.check_at_rest()
    assert world.live_value() == world.money() == 600
