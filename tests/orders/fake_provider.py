"""A card provider in memory that honours idempotency keys and does what a test asks: late, lost, twice, failing.

Like the real ones, it refuses a key that comes again with another request.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID, uuid4

from contracts.money import Money
from services.orders.payments.provider import (
    BadSignature,
    ProviderDispute,
    ProviderDisputeStatus,
    ProviderError,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderRefundStatus,
    ProviderStatus,
    StartedPayment,
    StartPayment,
)

SIGNATURE = "test-signature"

T = TypeVar("T")


@dataclass
class Card:
    reference: str
    asked: StartPayment
    status: ProviderStatus = ProviderStatus.PENDING
    amount: Money | None = None
    reason: str | None = None
    refunds: dict[str, tuple[ProviderRefund, Money]] = field(default_factory=dict)
    disputes: list[ProviderDispute] = field(default_factory=list)


class FakeProvider:
    name = "sandbox"

    def __init__(self) -> None:
        self.cards: dict[str, Card] = {}
        self.by_key: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.pages: dict[str, str] = {}
        """Other names of payments, as events may use them: by name, our reference."""
        self.bodies: dict[str, object] = {}
        """What was asked under each idempotency key."""
        self.failing: dict[str, ProviderError] = {}
        """Calls that fail before they do anything, by name."""
        self.unheard: dict[str, ProviderError] = {}
        """Calls that do their work and then fail: the answer is lost on the way."""
        self.refund_status = ProviderRefundStatus.DONE
        self.refund_reason: str | None = None
        self.fetch_delay = 0.0

    def reset(self) -> None:
        self.failing.clear()
        self.unheard.clear()
        self.refund_status = ProviderRefundStatus.DONE
        self.refund_reason = None
        self.fetch_delay = 0.0
        self.calls.clear()

    def _called(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.failing:
            raise self.failing[name]

    def _answered(self, name: str, answer: T) -> T:
        if name in self.unheard:
            raise self.unheard[name]
        return answer

    def _keyed(self, key: str, *body: object) -> None:
        if self.bodies.setdefault(key, body) != body:
            raise ProviderError(f"the idempotency key {key} belongs to another request", retryable=False)

    async def start(self, payment: StartPayment) -> StartedPayment:
        self._called("start")
        self._keyed(payment.idempotency_key, payment)
        reference = self.by_key.setdefault(payment.idempotency_key, f"pay_{uuid4().hex[:12]}")
        self.cards.setdefault(reference, Card(reference, payment))
        started = StartedPayment(reference=reference, redirect_url=f"http://card.test/pay/{reference}")
        return self._answered("start", started)

    async def fetch(self, reference: str) -> ProviderPayment:
        self._called("fetch")
        answer = self._answer(reference)
        await asyncio.sleep(self.fetch_delay)
        return answer

    async def capture(self, reference: str, amount: Money, idempotency_key: str) -> ProviderPayment:
        self._called("capture")
        self._keyed(idempotency_key, "capture", reference, amount)
        card = self.cards[reference]
        if card.status is ProviderStatus.HELD:
            card.status, card.amount = ProviderStatus.RECEIVED, amount
        return self._answered("capture", self._answer(reference))

    async def cancel(self, reference: str, idempotency_key: str) -> ProviderPayment:
        self._called("cancel")
        self._keyed(idempotency_key, "cancel", reference)
        card = self.cards[reference]
        if card.status is not ProviderStatus.RECEIVED:
            card.status = ProviderStatus.CANCELLED
        return self._answered("cancel", self._answer(reference))

    async def refund(self, reference: str, amount: Money, idempotency_key: str, refund_id: UUID) -> ProviderRefund:
        self._called("refund")
        self._keyed(idempotency_key, "refund", reference, amount, refund_id)
        card = self.cards[reference]
        if idempotency_key not in card.refunds:
            made = ProviderRefund(
                reference=f"re_{uuid4().hex[:12]}",
                status=self.refund_status,
                amount=amount,
                reason=self.refund_reason,
                refund_id=refund_id,
            )
            card.refunds[idempotency_key] = (made, amount)
        return self._answered("refund", card.refunds[idempotency_key][0])

    async def find(self, reference: str) -> UUID | None:
        card = self.cards.get(self.pages.get(reference, ""))
        return card.asked.payment_id if card else None

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> list[ProviderEvent]:
        if headers.get("x-signature") != SIGNATURE:
            raise BadSignature("not ours")
        content: dict[str, Any] = json.loads(body)
        payment = UUID(content["payment_id"]) if "payment_id" in content else None
        return [
            ProviderEvent(id=content["id"], reference=content["reference"], kind=content["kind"], payment_id=payment)
        ]

    async def aclose(self) -> None:
        pass

    def _answer(self, reference: str) -> ProviderPayment:
        card = self.cards.get(reference)
        if card is None:
            raise ProviderError("no such payment", retryable=False)
        done = [amount for refund, amount in card.refunds.values() if refund.status is ProviderRefundStatus.DONE]
        return ProviderPayment(
            reference=reference,
            status=card.status,
            amount=card.amount or card.asked.amount,
            refunded=Money.total(done, card.asked.amount.currency),
            reason=card.reason,
            refunds=tuple(refund for refund, _ in card.refunds.values()),
            disputes=tuple(card.disputes),
        )

    # What tests do at the card page

    def card_of(self, payment_id: str | UUID) -> Card:
        return next(card for card in self.cards.values() if str(card.asked.payment_id) == str(payment_id))

    def pay(self, payment_id: str | UUID, status: ProviderStatus = ProviderStatus.RECEIVED) -> Card:
        card = self.card_of(payment_id)
        assert card.status in (ProviderStatus.PENDING, ProviderStatus.FAILED), card.status
        card.status = status
        card.reason = "insufficient funds" if status is ProviderStatus.FAILED else None
        return card

    def finish_refunds(self, payment_id: str | UUID, status: ProviderRefundStatus, reason: str | None = None) -> None:
        card = self.card_of(payment_id)
        for key, (refund, amount) in card.refunds.items():
            card.refunds[key] = (replace(refund, status=status, reason=reason), amount)

    # What others do at the provider

    def refund_at_dashboard(self, payment_id: str | UUID, minor: int) -> str:
        card = self.card_of(payment_id)
        amount = Money(minor=minor, currency=card.asked.amount.currency)
        made = ProviderRefund(reference=f"re_{uuid4().hex[:12]}", status=ProviderRefundStatus.DONE, amount=amount)
        card.refunds[made.reference] = (made, amount)
        return made.reference

    def dispute(self, payment_id: str | UUID, minor: int, status: ProviderDisputeStatus) -> None:
        """Opens the payment's one dispute, or decides it."""
        card = self.card_of(payment_id)
        reference = card.disputes[0].reference if card.disputes else f"dp_{uuid4().hex[:12]}"
        amount = Money(minor=minor, currency=card.asked.amount.currency)
        card.disputes = [ProviderDispute(reference=reference, status=status, amount=amount, reason="fraudulent")]
