"""A small world around one order: ticketing, a card provider, a rival for the seats, and slow, repeating messengers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.orders import FunnelStage
from services.orders.order.keep import next_poll
from services.orders.process import NotPossible, State, decide
from services.orders.process import happenings as h
from services.orders.process.commands import (
    About,
    Account,
    Command,
    Money,
    Post,
    RevokeTickets,
    Tell,
    TellCancelled,
    TellPayment,
    TellRefunded,
    TellTakenBack,
    Unclaim,
)
from services.orders.process.state import MANUAL, Line, PaymentStage, Wanted

START = datetime(2026, 1, 1, tzinfo=UTC)
PAY_BY = START + timedelta(seconds=50)
LINES = tuple(Line(id=UUID(int=i), reference=f"seat-{i}", amount=100 * i) for i in (1, 2, 3))


@dataclass
class Card:
    stage: PaymentStage = PaymentStage.OPEN
    amount: int = 0
    refunded: dict[UUID, int] = field(default_factory=dict)


class World:
    def __init__(self) -> None:
        self.state = State()
        self.now = START
        self.told: Counter[object] = Counter()
        self.ledger: Counter[Account] = Counter()
        self.inbox: list[h.Happening] = [h.HoldPlaced(lines=LINES)]
        self.to_ticketing: list[Command] = []
        self.seats = {line.reference: "order" for line in LINES}
        self.tickets: set[str] = set()
        self.printed: set[str] = set()
        """Seats that ever had a ticket: ticketing names no others when it voids them."""
        self.released = False
        self.lapsed = False
        self.cards: dict[UUID, Card] = {}
        self.webhooks = True
        """Without them, only our own questions to the provider tell what became of a payment."""

    def tick(self) -> None:
        self.now += timedelta(seconds=1)

    def happen(self, happening: h.Happening) -> bool:
        try:
            self.state, commands = decide(self.state, happening)
        except NotPossible:
            return False
        for command in commands:
            self.carry_out(command)
        return True

    def carry_out(self, command: Command) -> None:
        if isinstance(command, Post):
            assert command.amount > 0
            self.ledger[command.debit] += command.amount
            self.ledger[command.credit] -= command.amount
            return
        if isinstance(command, Tell):
            self.told[command.what] += 1
        elif isinstance(command, TellCancelled | TellTakenBack):
            self.told[type(command)] += 1
        elif isinstance(command, TellPayment) and command.what in (Money.REFUND_DUE, Money.REFUNDED):
            self.told[command.what, command.refund] += 1
        elif isinstance(command, TellRefunded):
            self.told[command.refund] += 1
        self.to_ticketing.append(command)

    # The card provider

    def open_card(self) -> None:
        payment = UUID(int=1000 + len(self.cards))
        if self.happen(h.PaymentOpened(payment_id=payment, provider="sandbox")):
            self.cards[payment] = Card()

    def pay(self, payment: UUID, stage: PaymentStage) -> None:
        card = self.cards[payment]
        if card.stage in (PaymentStage.OPEN, PaymentStage.FAILED):
            card.stage = stage
            card.amount = sum(line.amount for line in LINES) if stage is not PaymentStage.FAILED else 0

    def lapse(self, payment: UUID) -> None:
        if self.cards[payment].stage is PaymentStage.HELD:
            self.cards[payment].stage = PaymentStage.CANCELLED

    def observe(self, payment: UUID) -> h.PaymentSeen:
        self.tick()
        card = self.cards[payment]
        return h.PaymentSeen(payment_id=payment, stage=card.stage, amount=card.amount, observed_at=self.now)

    def do_wanted(self, payment: UUID) -> None:
        """Ask the provider what the state wants, as the job does: from the stored row, at some later time."""
        known = self.state.payment(payment)
        card = self.cards[payment]
        if known is None or known.wanted is None:
            return
        if known.wanted is Wanted.CAPTURE and card.stage is PaymentStage.HELD:
            card.stage = PaymentStage.RECEIVED
        if known.wanted is Wanted.CANCEL and card.stage is not PaymentStage.RECEIVED:
            card.stage = PaymentStage.CANCELLED
        self.inbox.append(self.observe(payment))

    def do_refunds(self, *, failing: bool) -> None:
        for refund in self.state.refunds:
            if refund.done:
                continue
            if refund.payment not in self.cards:
                # Nobody but the clerk who sends it says so, and says so once.
                assert self.money() - refund.amount >= self.live_value(), "money was asked back while its tickets lived"
                assert self.happen(h.RefundConfirmed(refund_id=refund.id))
                assert not self.happen(h.RefundConfirmed(refund_id=refund.id))
                continue
            if failing:
                self.inbox.append(h.RefundFailed(refund_id=refund.id, reason="try later"))
                continue
            card = self.cards[refund.payment]
            card.refunded[refund.id] = refund.amount
            assert sum(card.refunded.values()) <= card.amount
            assert self.money() >= self.live_value(), "money went back while its tickets lived"
            self.inbox.append(h.RefundDone(refund_id=refund.id))

    # Ticketing

    def ticketing_hears(self) -> None:
        if not self.to_ticketing:
            return
        command = self.to_ticketing.pop(0)
        if command == Tell(About.PAID):
            self._convert()
        elif command == Tell(About.EXPIRED) or (isinstance(command, TellCancelled) and not command.was_paid):
            self._release(by_expiry=command == Tell(About.EXPIRED))
        elif command in (Tell(About.PLACED), Tell(About.CHANGED)):
            self.lapsed = False
        elif command == Unclaim() and self.lapsed:
            ordered = self.state.stage in (FunnelStage.AWAITING_PAYMENT, FunnelStage.PAID)
            assert not ordered or self.told[About.EXPIRED], "an order lost its seats because they had lapsed"
            self._release(by_expiry=True)
        elif isinstance(command, RevokeTickets):
            for seat in command.seats:
                if seat in self.tickets:
                    self.tickets.remove(seat)
                    self.seats[seat] = "free"
            voided = tuple(seat for seat in command.seats if seat in self.printed)
            self.inbox.append(h.TicketsVoided(request_id=command.request, seats=voided))

    def _convert(self) -> None:
        if all(owner in ("order", "free") for owner in self.seats.values()):
            self.seats = dict.fromkeys(self.seats, "order")
            self.tickets = set(self.seats)
            self.printed |= self.tickets
            self.inbox.append(h.TicketsIssued())
        else:
            self.inbox.append(h.ConversionRefused(reason="sold to somebody else"))

    def _release(self, *, by_expiry: bool) -> None:
        if not self.tickets and not self.released:
            self.released = True
            self.seats = {seat: "free" if owner == "order" else owner for seat, owner in self.seats.items()}
            self.inbox.append(h.HoldReleased(by_expiry=by_expiry))

    def time_is_up(self) -> None:
        """Of the hold: ticketing asks, and keeps the seats until it hears of them."""
        if not self.tickets and not self.released:
            self.lapsed = True
            self.inbox.append(h.HoldLapsed())

    def buyer_lets_go(self) -> None:
        self._release(by_expiry=False)

    def rival_takes(self, seat: str) -> None:
        if self.seats[seat] == "free":
            self.seats[seat] = "rival"

    # What must be true

    def money(self) -> int:
        """At the providers and by hand, less what went back."""
        cards = sum(c.amount for c in self.cards.values() if c.stage in (PaymentStage.HELD, PaymentStage.RECEIVED))
        back = sum(sum(c.refunded.values()) for c in self.cards.values())
        by_hand = [p for p in self.state.payments if p.provider == MANUAL]
        ids = {p.id for p in by_hand}
        back_by_hand = sum(r.amount for r in self.state.refunds if r.done and r.payment in ids)
        return cards - back + sum(p.amount for p in by_hand) - back_by_hand

    def live_value(self) -> int:
        return sum(line.amount for line in LINES if line.reference in self.tickets)

    def some_time_passes(self) -> None:
        """What is on its way arrives, and is answered; the messengers keep a copy of the last three messages."""
        while self.to_ticketing:
            self.ticketing_hears()
        waiting, self.inbox = self.inbox, self.inbox[-3:]
        for happening in waiting:
            self.happen(happening)

    def everything_arrives(self) -> None:
        for _ in range(100):
            for payment in self.cards:
                self.do_wanted(payment)
                known = self.state.payment(payment)
                if self.webhooks or (known is not None and next_poll(known, self.now)):
                    self.inbox.append(self.observe(payment))
            self.do_refunds(failing=False)
            while self.to_ticketing:
                self.ticketing_hears()
            before = self.state
            waiting, self.inbox = self.inbox, []
            for happening in waiting:
                self.happen(happening)
            due = self.state.due_at
            if due is not None:
                self.now = max(self.now, due)
                self.happen(h.DeadlinePassed(now=self.now, grace_until=self.now + timedelta(minutes=5)))
            if self.state == before and not self.to_ticketing:
                return
        raise AssertionError("the order never comes to rest")

    def check_at_rest(self) -> None:
        received = sum(c.amount for c in self.cards.values() if c.stage is PaymentStage.RECEIVED)
        assert not any(c.stage is PaymentStage.HELD for c in self.cards.values()), "a hold was forgotten"
        if self.state.stage in (FunnelStage.PAID, FunnelStage.CANCELLED):
            payable = (PaymentStage.OPEN, PaymentStage.FAILED)
            assert not any(c.stage in payable for c in self.cards.values()), "a card page stays open for ever"
        assert self.money() == self.live_value()
        assert self.state.value == self.live_value()
        assert not self.state.overpaid
        assert sum(self.ledger.values()) == 0
        assert self.ledger[Account.BUYER] == 0
        assert self.ledger[Account.HELD] == 0
        assert self.ledger[Account.CASH] == self.money() == -self.ledger[Account.SALES]
        assert self.state.received >= received
        assert all(times <= 1 for what, times in self.told.items() if what is not About.CHANGED), self.told
