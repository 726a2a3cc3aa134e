"""The test cards. A number lives only in the request that carries it: it is neither stored nor logged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What the bank behind a test card does."""

    PAY = "pay"
    DECLINE = "decline"
    CONFIRM = "confirm"
    HOLD = "hold"
    HOLD_EXPIRES = "hold_expires"


class RefundOutcome(StrEnum):
    AT_ONCE = "at_once"
    LATER = "later"
    FAILS_LATER = "fails_later"


@dataclass(frozen=True, slots=True)
class Card:
    """A test card: `name` is what is remembered of it."""

    name: str
    number: str
    outcome: Outcome
    reason: str = ""
    refunds: RefundOutcome = RefundOutcome.AT_ONCE

    @property
    def spaced(self) -> str:
        return " ".join(self.number[at : at + 4] for at in range(0, len(self.number), 4))


CARDS = (
    Card("success", "4242424242424242", Outcome.PAY),
    Card("declined", "4000000000000002", Outcome.DECLINE, reason="card_declined"),
    Card("no_money", "4000000000009995", Outcome.DECLINE, reason="insufficient_funds"),
    Card("expired_card", "4000000000000069", Outcome.DECLINE, reason="expired_card"),
    Card("confirm", "4000002500003155", Outcome.CONFIRM),
    Card("hold", "4000000000001000", Outcome.HOLD),
    Card("hold_expires", "4000000000002008", Outcome.HOLD_EXPIRES),
    Card("refund_later", "4000000000007726", Outcome.PAY, refunds=RefundOutcome.LATER),
    Card("refund_fails", "4000000000005126", Outcome.PAY, refunds=RefundOutcome.FAILS_LATER),
)
BY_NUMBER = {card.number: card for card in CARDS}
BY_NAME = {card.name: card for card in CARDS}


class NotATestCard(Exception):
    """`code` says why: `incomplete`, `mistyped` or `real_card`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def recognise(typed: str) -> Card:
    """The test card with this number; spaces and dashes do not matter."""
    digits = "".join(character for character in typed if character.isdigit())
    if not 12 <= len(digits) <= 19:
        raise NotATestCard("incomplete")
    if not passes_luhn(digits):
        raise NotATestCard("mistyped")
    card = BY_NUMBER.get(digits)
    if card is None:
        raise NotATestCard("real_card")
    return card


def passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
