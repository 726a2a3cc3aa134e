"""What orders asks of a payment provider, and what it may believe of the answers.

An adapter translates one provider's API into these calls. It keeps no state: `fetch` is the authority, a webhook only
says that something changed. Every call that moves money takes an idempotency key, so it may be repeated after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from contracts.money import Money


class ProviderStatus(StrEnum):
    PENDING = "pending"
    """Started; the buyer has not paid yet."""
    HELD = "held"
    """Authorised, not captured (ORD-89)."""
    RECEIVED = "received"
    """Captured, whether or not some of it was refunded since (ORD-90)."""
    FAILED = "failed"
    CANCELLED = "cancelled"


class ProviderRefundStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


FOR_GOOD = frozenset(
    [
        "account_closed",
        "lost_or_stolen_card",
        "expired_or_canceled_card",
        "charge_for_pending_refund_disputed",
        "merchant_request",
    ]
)
"""Why a refund can never succeed, in the words of Stripe and of the sandbox."""


class ProviderError(Exception):
    """The provider could not be asked or refused. `retryable`: the same call may succeed later."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class BadSignature(Exception):
    """A webhook was not sent by the provider, or its body was changed, or it is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPayment:
    payment_id: UUID
    order_id: UUID
    order_number: str
    amount: Money
    description: str
    return_url: str
    webhook_url: str
    locale: str
    customer_email: str | None
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedPayment:
    reference: str
    """The provider's id of the payment."""
    redirect_url: str
    """The card page to send the buyer to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    reference: str
    status: ProviderRefundStatus
    amount: Money
    reason: str | None = None
    refund_id: UUID | None = None
    """Our own id; None if somebody made the refund at the provider's dashboard."""

    @property
    def final(self) -> bool:
        """Another attempt would fail as well."""
        return self.reason in FOR_GOOD


class ProviderDisputeStatus(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDispute:
    """A bank's claim for which the provider has taken money. Mere inquiries, which take none, are not told."""

    reference: str
    status: ProviderDisputeStatus
    amount: Money
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayment:
    reference: str
    status: ProviderStatus
    amount: Money
    """Asked for while pending, then held, then received; refunds are not subtracted."""
    refunded: Money
    reason: str | None = None
    """Why it failed, in the provider's words."""
    refunds: tuple[ProviderRefund, ...] = ()
    """Every refund made so far, by whomever: how a pending one is followed. `refunded` counts those that are done."""
    disputes: tuple[ProviderDispute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """One thing that a webhook tells. `id` is the provider's id of the event: the same however often it is sent."""

    id: str
    reference: str
    kind: str
    payment_id: UUID | None = None
    """Our own id, where the event carries it: find the payment by it first, by `reference` otherwise."""


class PaymentProvider(Protocol):
    """Every method raises `ProviderError`; `retryable` tells whether to repeat it with the same idempotency key."""

    name: str

    async def start(self, payment: StartPayment) -> StartedPayment:
        """Open a payment. Repeated with the same idempotency key it answers the same reference."""
        ...

    async def fetch(self, reference: str) -> ProviderPayment: ...

    async def capture(self, reference: str, amount: Money, idempotency_key: str) -> ProviderPayment: ...

    async def cancel(self, reference: str, idempotency_key: str) -> ProviderPayment:
        """Void a payment that is pending or held. One that was received is answered as it is, not cancelled."""
        ...

    async def refund(self, reference: str, amount: Money, idempotency_key: str, refund_id: UUID) -> ProviderRefund:
        """`refund_id` is ours, and comes back with the refund whenever the payment is fetched."""
        ...

    async def find(self, reference: str) -> UUID | None:
        """Our own id of what an event names by a reference that we do not know, if it is ours."""
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> list[ProviderEvent]:
        """The events in a webhook, its signature checked over the raw body. Raises `BadSignature`."""
        ...

    async def aclose(self) -> None: ...
