"""What Stripe's objects mean for a payment of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from contracts.money import Money
from services.orders.payments.provider import (
    ProviderDispute,
    ProviderDisputeStatus,
    ProviderError,
    ProviderPayment,
    ProviderRefund,
    ProviderRefundStatus,
    ProviderStatus,
)
from services.orders.payments.providers.currencies import from_stripe, to_stripe

INTENT_STATUSES = {
    "requires_capture": ProviderStatus.HELD,
    "succeeded": ProviderStatus.RECEIVED,
    "canceled": ProviderStatus.CANCELLED,
}
"""Any other status: the buyer, or the bank, has something to do yet."""

REFUND_STATUSES = {
    "succeeded": ProviderRefundStatus.DONE,
    "failed": ProviderRefundStatus.FAILED,
    "canceled": ProviderRefundStatus.FAILED,
}


DISPUTE_STATUSES = {
    "needs_response": ProviderDisputeStatus.OPEN,
    "under_review": ProviderDisputeStatus.OPEN,
    "won": ProviderDisputeStatus.WON,
    "lost": ProviderDisputeStatus.LOST,
}
"""The others (`warning_...`, `prevented`) are inquiries: no money was taken."""


def minor_of(amount: Money) -> int:
    try:
        return to_stripe(amount)
    except ValueError as error:
        raise ProviderError(str(error), retryable=False) from error


def payment_of(
    reference: str,
    session: Mapping[str, Any] | None,
    intent: Mapping[str, Any] | None,
    refunds: Sequence[Mapping[str, Any]],
    disputes: Sequence[Mapping[str, Any]] = (),
) -> ProviderPayment:
    status = _status(session, intent)
    about = intent or session or {}
    asked = about["amount"] if intent else about["amount_total"]
    received = (intent or {}).get("amount_received") if status is ProviderStatus.RECEIVED else None
    minor = asked if received is None else received
    given_back = _given_back(refunds, released=asked - minor)
    error = (intent or {}).get("last_payment_error") or {}
    return ProviderPayment(
        reference=reference,
        status=status,
        amount=from_stripe(minor, about["currency"]),
        refunded=from_stripe(
            sum(refund["amount"] for refund in given_back if refund["status"] == "succeeded"), about["currency"]
        ),
        reason=error.get("decline_code") or error.get("code") or (intent or {}).get("cancellation_reason"),
        refunds=tuple(refund_of(refund) for refund in given_back),
        disputes=tuple(dispute_of(d) for d in disputes if d["status"] in DISPUTE_STATUSES),
    )


def _status(session: Mapping[str, Any] | None, intent: Mapping[str, Any] | None) -> ProviderStatus:
    if intent is not None and intent["status"] in INTENT_STATUSES:
        return INTENT_STATUSES[intent["status"]]
    if session is not None:  # while the page is open the buyer may take another card
        return ProviderStatus.CANCELLED if session["status"] == "expired" else ProviderStatus.PENDING
    declined = intent is not None and intent["status"] == "requires_payment_method" and intent.get("last_payment_error")
    return ProviderStatus.FAILED if declined else ProviderStatus.PENDING


def _given_back(refunds: Sequence[Mapping[str, Any]], released: int) -> list[Mapping[str, Any]]:
    """Without the one that Stripe books for what was held but not captured: that money never was ours."""
    kept = list(refunds)
    if released:
        for refund in refunds:
            if refund["amount"] == released and not (refund.get("metadata") or {}).get("refund_of"):
                kept.remove(refund)
                break
    return kept


def refund_of(refund: Mapping[str, Any]) -> ProviderRefund:
    return ProviderRefund(
        reference=refund["id"],
        status=REFUND_STATUSES.get(refund["status"], ProviderRefundStatus.PENDING),
        amount=from_stripe(refund["amount"], refund["currency"]),
        reason=refund.get("failure_reason"),
        refund_id=_uuid((refund.get("metadata") or {}).get("refund_id")),
    )


def dispute_of(dispute: Mapping[str, Any]) -> ProviderDispute:
    return ProviderDispute(
        reference=dispute["id"],
        status=DISPUTE_STATUSES[dispute["status"]],
        amount=from_stripe(dispute["amount"], dispute["currency"]),
        reason=dispute["reason"],
    )


def ours(intent: Mapping[str, Any], refund_id: UUID) -> dict[str, str]:
    """Metadata that marks a refund as made by us, and leads its events back to our payment."""
    ours = (intent.get("metadata") or {}).get("payment_id")
    return {"refund_of": intent["id"], "refund_id": str(refund_id), **({"payment_id": ours} if ours else {})}


def payment_id_in(about: Mapping[str, Any]) -> UUID | None:
    return _uuid((about.get("metadata") or {}).get("payment_id"))


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
