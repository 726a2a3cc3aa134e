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
from services.orders.process.state import MANUAL, DisputeStage, Line, PaymentStage, Refund, RefundStage, Wanted

START = datetime(2026, 1, 1, tzinfo=UTC)
PAY_BY = START + timedelta(seconds=50)
LINES = tuple(Line(id=UUID(int=i), reference=f"seat-{i}", amount=100 * i) for i in (1, 2, 3))


@dataclass
class Card:
    """A payment as the bank has it."""

    stage: PaymentStage = PaymentStage.OPEN
    amount: int = 0
    refunded: dict[UUID, int] = field(default_factory=dict)
    attempts: dict[tuple[UUID, int], bool] = field(default_factory=dict)
    """Whether an attempt to refund succeeded: under one idempotency key the answer stays the same."""
    elsewhere: dict[UUID, tuple[int, bool]] = field(default_factory=dict)
    """Refunds made at the dashboard, and whether they stand."""
    disputes: dict[UUID, tuple[int, DisputeStage]] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        """By others: clerks at the dashboard, and banks."""
        lost = sum(amount for amount, stage in self.disputes.values() if stage is not DisputeStage.WON)
        return lost + sum(amount for amount, stands in self.elsewhere.values() if stands)

    @property
    def left(self) -> int:
        return (self.amount if self.stage is PaymentStage.RECEIVED else 0) - sum(self.refunded.values()) - self.taken


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
        elif isinstance(command, TellPayment) and command.came_back:
            # It was told as done, and is told again when it is.
            self.told[Money.REFUNDED, command.refund] -= 1
            self.told[command.refund] = 0
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

    def do_refunds(self, *, failing: bool, final: bool = False) -> None:
        for refund in self.state.refunds:
            if self.state.by_hand(refund):
                self.send_by_hand(refund)
            elif refund.stage is RefundStage.PENDING:
                self._attempt(refund, failing=failing, final=final)

    def _attempt(self, refund: Refund, *, failing: bool, final: bool) -> None:
        card, attempt = self.cards[refund.payment], (refund.id, refund.failures)
        if attempt not in card.attempts:
            card.attempts[attempt] = not failing and refund.amount <= card.left
            if card.attempts[attempt]:
                assert self.money() - refund.amount >= self.live_value() or card.taken, "money went before its tickets"
                card.refunded[refund.id] = refund.amount
        if card.attempts[attempt]:
            self.inbox.append(h.RefundDone(refund_id=refund.id, attempt=refund.failures))
        else:
            self.inbox.append(
                h.RefundFailed(refund_id=refund.id, attempt=refund.failures, reason="refused", final=final)
            )

    def send_by_hand(self, refund: Refund) -> None:
        """Nobody but the clerk who sends it says so, and says so once; what nobody can be sent is written off."""
        refused = refund.stage is RefundStage.REFUSED
        if refused and refund.amount % 200:
            assert self.happen(h.RefundWrittenOff(refund_id=refund.id))
        else:
            assert self.happen(h.RefundConfirmed(refund_id=refund.id))
        assert not self.happen(h.RefundConfirmed(refund_id=refund.id))
        assert not self.happen(h.RefundWrittenOff(refund_id=refund.id))

    def refund_fails_late(self, payment: UUID) -> None:
        """Days after it was done: the account was closed."""
        card = self.cards[payment]
        for refund in self.state.refunds:
            if refund.id in card.refunded and refund.stage is RefundStage.DONE:
                del card.refunded[refund.id]
                self.inbox.append(
                    h.RefundFailed(refund_id=refund.id, attempt=refund.failures, reason="account_closed", final=True)
                )
                return

    # Others at the provider

    def _free(self, payment: UUID) -> int:
        """Nobody is given money at the dashboard that was sent by hand already."""
        settled = (RefundStage.SENT, RefundStage.WRITTEN_OFF)
        by_hand = sum(r.amount for r in self.state.refunds if r.payment == payment and r.stage in settled)
        return self.cards[payment].left - by_hand

    def refund_at_dashboard(self, payment: UUID, amount: int) -> None:
        card, amount = self.cards[payment], min(amount, self._free(payment))
        if amount > 0:
            card.elsewhere[UUID(int=7000 + 100 * payment.int + len(card.elsewhere))] = amount, True
            self.others_are_seen(payment)

    def refund_at_dashboard_fails(self, payment: UUID) -> None:
        card = self.cards[payment]
        for refund, (amount, stands) in card.elsewhere.items():
            if stands:
                card.elsewhere[refund] = amount, False
                return

    def open_dispute(self, payment: UUID, amount: int) -> None:
        card, amount = self.cards[payment], min(amount, self._free(payment))
        if amount > 0:
            card.disputes[UUID(int=9000 + 100 * payment.int + len(card.disputes))] = amount, DisputeStage.OPEN
            self.others_are_seen(payment)

    def decide_disputes(self, payment: UUID, stage: DisputeStage) -> None:
        card = self.cards[payment]
        for dispute, (amount, known) in card.disputes.items():
            if known is DisputeStage.OPEN or (known is DisputeStage.LOST and stage is DisputeStage.WON):
                card.disputes[dispute] = amount, stage

    def others_are_seen(self, payment: UUID) -> None:
        card = self.cards[payment]
        for refund, (amount, stands) in card.elsewhere.items():
            self.inbox.append(h.RefundSeen(payment_id=payment, refund_id=refund, amount=amount, stands=stands))
        for dispute, (amount, stage) in card.disputes.items():
            self.inbox.append(h.DisputeSeen(payment_id=payment, dispute_id=dispute, amount=amount, stage=stage))

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
        """At the providers and by hand, less what went back; what is disputed is ours until the dispute is lost."""
        cards = sum(c.amount for c in self.cards.values() if c.stage in (PaymentStage.HELD, PaymentStage.RECEIVED))
        back = sum(sum(c.refunded.values()) + c.taken for c in self.cards.values())
        disputed = sum(a for c in self.cards.values() for a, s in c.disputes.values() if s is DisputeStage.OPEN)
        entered = sum(p.counted for p in self.state.payments if p.provider == MANUAL)
        sent = sum(r.amount for r in self.state.refunds if r.stage is RefundStage.SENT)
        return cards - back + disputed + entered - sent

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
            for payment, card in self.cards.items():
                self.do_wanted(payment)
                known = self.state.payment(payment)
                if self.webhooks or (known is not None and next_poll(known, self.now)):
                    self.inbox.append(self.observe(payment))
                if card.disputes:
                    self.decide_disputes(payment, DisputeStage.LOST if payment.int % 2 else DisputeStage.WON)
                self.others_are_seen(payment)
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
        written_off = sum(r.amount for r in self.state.refunds if r.stage is RefundStage.WRITTEN_OFF)
        short = self.live_value() - (self.money() - written_off)
        taken = sum(c.taken for c in self.cards.values())
        # Only what others took can be missing, and never all of it: that ends the order.
        assert 0 <= short <= taken
        assert not short or self.live_value() > short
        assert self.state.missing == (short if self.state.sold else 0)
        assert self.state.value == self.live_value()
        assert not self.state.overpaid
        assert not self.state.due_by_hand
        assert sum(self.ledger.values()) == 0
        assert self.ledger[Account.BUYER] == short
        assert self.ledger[Account.HELD] == self.ledger[Account.DISPUTED] == 0
        assert self.ledger[Account.WRITTEN_OFF] == -written_off
        assert self.ledger[Account.CASH] == self.money()
        assert self.ledger[Account.SALES] == -self.live_value()
        assert self.state.received >= received
        assert all(times <= 1 for what, times in self.told.items() if what is not About.CHANGED), self.told
