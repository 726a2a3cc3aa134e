"""Lines by quantity, and orders of several holds: what goes back, whatever the order in which it does."""

from __future__ import annotations

import contextlib
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.orders import FunnelStage, LineKind
from services.orders.process import NotPossible, State, decide
from services.orders.process import happenings as h
from services.orders.process.commands import Account, Command, Post, RevokeTickets, Tell, TellCancelled
from services.orders.process.line import Line, LineState
from services.orders.process.state import CancelReason, Delivery, PaymentStage

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, SECOND = UUID(int=101), UUID(int=102)
SEAT, STANDING, OTHER_SHOW, COURSE, BOOKS = (UUID(int=i) for i in range(1, 6))
LINES = (
    Line(id=SEAT, reference="seat-1", amount=1001, hold=FIRST),
    Line(id=STANDING, reference="floor", amount=5 * 333 - 2, quantity=5, kind=LineKind.PLACE, hold=FIRST),
    Line(id=OTHER_SHOW, reference="balcony", amount=700, quantity=2, kind=LineKind.PLACE, hold=SECOND),
    Line(id=COURSE, reference="course", amount=999, kind=LineKind.COURSE),
    Line(id=BOOKS, reference="book", amount=1000, quantity=3, kind=LineKind.GOODS),
)
TOTAL = sum(line.amount for line in LINES)
CARD = UUID(int=900)


def asked(line: UUID, quantity: int | None = None, *, fee: int = 0, amount: int | None = None, request: int = 500):
    part = h.PartAsked(line_id=line, quantity=quantity, fee=fee, amount=amount)
    return h.RefundAsked(request_id=UUID(int=request), parts=(part,))


class Shop:
    """An order that is paid by card; ticketing keeps a count of tickets for each line, by hold."""

    def __init__(self) -> None:
        self.state = State()
        self.ledger: Counter[Account] = Counter()
        self.told: list[Command] = []
        self.tickets: Counter[UUID] = Counter()
        self.answered: dict[tuple[UUID, UUID | None], h.TicketsVoided] = {}
        self.inbox: list[h.Happening] = []
        self.happen(h.CheckedOut(lines=LINES, pay_by=T0))
        self.happen(h.PaymentOpened(payment_id=CARD, provider="sandbox"))
        self.happen(h.PaymentSeen(payment_id=CARD, stage=PaymentStage.RECEIVED, amount=TOTAL, observed_at=T0))

    def happen(self, happening: h.Happening) -> None:
        self.state, commands = decide(self.state, happening)
        for command in commands:
            if isinstance(command, Post):
                self.ledger[command.debit] += command.amount
                self.ledger[command.credit] -= command.amount
            elif isinstance(command, RevokeTickets):
                self.inbox.append(self.void(command))
            self.told.append(command)

    def convert(self, hold: UUID) -> None:
        """Before anything is revoked: both go out under the order's key, one after another."""
        self.tickets.update({line.id: line.quantity for line in LINES if line.hold == hold})
        self.happen(h.TicketsIssued(hold=hold))

    def void(self, command: RevokeTickets) -> h.TicketsVoided:
        """Once for each request and hold, and answered the same whenever it is asked again."""
        key = command.request, command.hold
        if key not in self.answered:
            seats = {line.reference: line.id for line in LINES}
            for line, quantity in [*command.places, *((seats[seat], 1) for seat in command.seats)]:
                self.tickets[line] -= min(quantity, self.tickets[line])
            self.answered[key] = h.TicketsVoided(
                hold=command.hold, request_id=command.request, seats=command.seats, places=command.places
            )
        return self.answered[key]

    def refunds_arrive(self) -> None:
        for refund in self.state.refunds:
            if not refund.done:
                self.happen(refund_done(refund))

    def money(self) -> int:
        return self.state.received - self.state.refunded

    def line(self, line_id: UUID) -> Line:
        return next(line for line in self.state.lines if line.id == line_id)


def refund_done(refund: object) -> h.RefundDone:
    return h.RefundDone(refund_id=refund.id, attempt=0)  # type: ignore[attr-defined]


@given(
    amount=st.integers(0, 10**12),
    quantity=st.integers(1, 60),
    parts=st.lists(st.integers(1, 60), max_size=60),
    fees=st.lists(st.integers(0, 500), min_size=60, max_size=60),
)
def test_what_goes_back_adds_up_in_any_parts(amount: int, quantity: int, parts: list[int], fees: list[int]) -> None:
    line = Line(id=SEAT, reference="floor", amount=amount, quantity=quantity)
    fair = -(-amount // quantity)
    kept = 0
    for part, fee in zip([*parts, *[1] * 60], [*fees, *[0] * 60], strict=False):
        taken = min(part, line.left)
        if not taken:
            break
        fee = min(fee, line.share(taken))
        back = line.part(taken, fee=fee)
        assert 0 <= back.amount <= fair * taken
        assert abs((back.amount + fee) * quantity - amount * taken) <= quantity * (taken + 1)
        kept += fee
        line = line.with_return(back).void()
    while line.left:
        line = line.with_return(line.part(1)).void()
    assert sum(r.amount for r in line.returns) + kept == amount
    assert (line.value, line.unreturned, line.state) == (kept, kept, LineState.GONE)


class Fate:
    """Chooses what happens next to an order."""

    def __init__(self, shop: Shop, data: st.DataObject) -> None:
        self.shop, self.draw = shop, data.draw
        self.waiting = [hold for hold in (FIRST, SECOND) if self.draw(st.booleans())]
        self.refused: set[UUID] = set()
        for hold in {FIRST, SECOND} - set(self.waiting):
            shop.convert(hold)

    def part(self, request: int) -> None:
        line, quantity = self.draw(st.sampled_from(LINES)).id, self.draw(st.integers(1, 5))
        self.shop.happen(asked(line, quantity, fee=self.draw(st.sampled_from([0, 0, 1, 50])), request=request))

    def money(self, request: int) -> None:
        line = self.draw(st.sampled_from(LINES)).id
        self.shop.happen(asked(line, amount=self.draw(st.integers(1, 400)), request=request))

    def voided(self, request: int) -> None:
        if self.shop.inbox:
            self.shop.happen(self.draw(st.sampled_from(self.shop.inbox)))

    def refunds(self, request: int) -> None:
        self.shop.refunds_arrive()

    def hold(self, request: int) -> None:
        if not self.waiting:
            return
        hold = self.waiting.pop()
        if self.draw(st.booleans()) and not any(x.returns for x in self.shop.state.lines if x.hold == hold):
            self.refused.add(hold)
            self.shop.happen(h.ConversionRefused(hold=hold, reason="sold to somebody else"))
        else:
            self.issue(hold)

    def issue(self, hold: UUID) -> None:
        self.shop.tickets.update({x.id: x.left for x in self.shop.state.lines if x.hold == hold})
        self.shop.happen(h.TicketsIssued(hold=hold))

    def cancel(self, request: int) -> None:
        self.shop.happen(h.CancelAsked(request_id=UUID(int=request), reason=CancelReason.BY_STAFF))

    def everything_arrives(self) -> None:
        for hold in self.waiting:
            self.issue(hold)
        for happening in self.shop.inbox * 2:
            self.shop.happen(happening)
        self.shop.refunds_arrive()


WHAT = ["part"] * 6 + ["money", "voided", "voided", "refunds", "hold", "cancel"]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), what=st.lists(st.sampled_from(WHAT), max_size=12))
def test_money_is_what_the_tickets_and_fees_are_worth(data: st.DataObject, what: list[str]) -> None:
    shop = Shop()
    fate = Fate(shop, data)
    for request, name in enumerate(what, start=600):
        with contextlib.suppress(NotPossible):
            getattr(fate, name)(request)
    fate.everything_arrives()

    assert shop.money() == shop.state.value == sum(line.worth + fees(line) for line in shop.state.lines)
    assert sum(shop.ledger.values()) == 0
    assert shop.ledger[Account.CASH] == shop.money() == -shop.ledger[Account.SALES]
    for line in shop.state.lines:
        assert line.state is not LineState.LEAVING
        assert 0 <= line.value <= line.amount
        if line.is_ticket and line.hold not in fate.refused:
            assert shop.tickets[line.id] == line.left
    assert shop.state.delivery in (Delivery.ISSUED, Delivery.REFUSED)


def fees(line: Line) -> int:
    """Kept of what went back; what is worth something still stands in `worth`."""
    return sum(r.fee for r in line.returns)


def test_what_one_hold_cannot_have_is_refunded_and_the_rest_stays() -> None:
    shop = Shop()
    shop.happen(h.ConversionRefused(hold=SECOND, reason="sold to somebody else"))
    assert shop.state.stage is FunnelStage.PAID
    assert [(r.amount, r.line_ids) for r in shop.state.refunds] == [(700, (OTHER_SHOW,))]
    assert shop.state.delivery == "requested"
    shop.convert(FIRST)
    assert shop.state.delivery == "issued"
    assert [str(c.what) for c in shop.told if isinstance(c, Tell)][-1] == "confirmed"
    # Told again, it changes nothing, and so does a refusal of what was given.
    before = shop.state
    shop.happen(h.ConversionRefused(hold=SECOND, reason="sold to somebody else"))
    shop.happen(h.ConversionRefused(hold=FIRST, reason="sold to somebody else"))
    assert shop.state == before


def test_one_of_five_goes_back_with_a_fee_kept() -> None:
    shop = Shop()
    shop.convert(FIRST)
    shop.convert(SECOND)
    shop.happen(asked(STANDING, 1, fee=32))
    (revoked,) = (c for c in shop.told if isinstance(c, RevokeTickets))
    assert (revoked.hold, revoked.seats, revoked.places) == (FIRST, (), ((STANDING, 1),))
    assert not shop.state.refunds
    shop.happen(shop.inbox[0])
    assert [(r.amount, r.line_ids) for r in shop.state.refunds] == [(300, (STANDING,))]
    line = shop.line(STANDING)
    assert (line.given, line.returned, line.left, line.state) == (5, 1, 4, LineState.LIVE)
    assert shop.state.stage is FunnelStage.PAID


def test_money_alone_goes_back_and_everything_stays() -> None:
    shop = Shop()
    shop.convert(FIRST)
    shop.convert(SECOND)
    shop.happen(asked(SEAT, amount=1))
    assert [r.amount for r in shop.state.refunds] == [1]
    assert shop.line(SEAT).left == 1
    assert shop.state.stage is FunnelStage.PAID
    with pytest.raises(NotPossible):
        shop.happen(asked(SEAT, amount=1001, request=501))


def test_a_show_that_is_cancelled_gives_back_what_is_left_of_its_lines() -> None:
    """Nobody asked: ticketing names the seats, and counts the places."""
    shop = Shop()
    shop.convert(FIRST)
    shop.convert(SECOND)
    shop.happen(asked(STANDING, 2))
    void = h.TicketsVoided(hold=FIRST, request_id=UUID(int=777), seats=("seat-1",), places=((STANDING, 3),))
    for happening in (void, void, shop.inbox[0]):
        shop.happen(happening)
    assert sum(r.amount for r in shop.state.refunds) == 1001 + 5 * 333 - 2
    assert shop.state.stage is FunnelStage.PAID
    assert shop.line(OTHER_SHOW).left == 2


@pytest.mark.parametrize(
    "wrong",
    [
        asked(STANDING, 6),
        asked(BOOKS, 1, fee=334),
        asked(UUID(int=99)),
        asked(SEAT, amount=0),
        h.RefundAsked(request_id=UUID(int=500), line_ids=(SEAT, SEAT)),
    ],
)
def test_more_than_there_is_cannot_be_asked_back(wrong: h.RefundAsked) -> None:
    with pytest.raises(NotPossible):
        Shop().happen(wrong)


def test_a_cancelled_order_asks_each_hold_for_its_tickets() -> None:
    shop = Shop()
    shop.convert(FIRST)
    shop.convert(SECOND)
    shop.happen(h.CancelAsked(request_id=UUID(int=500), reason=CancelReason.BY_STAFF))
    assert [(c.hold, c.seats, c.places) for c in shop.told if isinstance(c, RevokeTickets)] == [
        (FIRST, ("seat-1",), ((STANDING, 5),)),
        (SECOND, (), ((OTHER_SHOW, 2),)),
    ]
    for happening in shop.inbox:
        shop.happen(happening)
    assert sum(r.amount for r in shop.state.refunds) == TOTAL
    assert any(isinstance(c, TellCancelled) and c.was_paid for c in shop.told)
