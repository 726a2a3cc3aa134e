"""What shops send to the provider, and what they are answered."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from deploy.sandbox import payments
from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.payments import Amount, Dispute, Payment, Refund


class NewPayment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: Amount
    reference: str = Field(min_length=1, max_length=200, description="The shop's own id of the payment")
    description: str = Field(default="", max_length=500)
    return_url: HttpUrl
    webhook_url: HttpUrl | None = None
    capture: Literal["automatic", "manual"] = "automatic"
    locale: str = Field(default="en", max_length=20)
    expires_in: float | None = Field(default=None, gt=0, le=30 * 86400, description="Seconds the card page stays open")
    behaviour: Behaviour | None = Field(default=None, description="Overrides that of the whole sandbox")


class Part(BaseModel):
    """All of it without a number."""

    model_config = ConfigDict(extra="forbid")

    minor: int | None = Field(default=None, gt=0)


class NewRefund(Part):
    reason: str = Field(default="", max_length=200)
    reference: str = Field(default="", max_length=200, description="The shop's own id of the refund")


class RefundView(BaseModel):
    id: str
    amount: Amount
    status: Literal["pending", "done", "failed"]
    reason: str
    reference: str

    @classmethod
    def of(cls, refund: Refund) -> RefundView:
        return cls(
            id=refund.id,
            amount=refund.amount,
            status=refund.status,
            reason=refund.reason,
            reference=refund.reference,
        )


class FailedRefund(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="account_closed", max_length=200)


class NewDispute(Part):
    reason: str = Field(default="fraudulent", max_length=200)


class Decision(BaseModel):
    model_config = ConfigDict(extra="forbid")

    won: bool = Field(description="By the shop")


class PaymentView(BaseModel):
    id: str
    reference: str
    url: str = Field(description="The card page")
    status: payments.Status
    reason: str
    amount: Amount
    captured: int
    refunded: int
    refunds: list[RefundView]
    disputes: list[Dispute]

    @classmethod
    def of(cls, payment: Payment, base: str) -> PaymentView:
        return cls(
            id=payment.id,
            reference=payment.reference,
            url=f"{base}/pay/{payment.id}",
            status=payment.status,
            reason=payment.reason,
            amount=payment.amount,
            captured=payment.captured,
            refunded=payment.refunded,
            refunds=[RefundView.of(refund) for refund in payment.refunds],
            disputes=payment.disputes,
        )
