"""Settings of the orders service."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from services.orders.payments.providers.settings import PaymentSettings


class Settings(PaymentSettings):
    service: ClassVar[str] = "orders"
    port: int = 8001

    quote_jwks_url: str = "http://127.0.0.1:8002/.well-known/jwks.json"
    quote_jwks: str = ""
    """The key set of ticketing's quotes itself, instead of its address."""

    payment_seconds: int = 900
    """How long a card order may wait for its money before it expires."""
    late_payment_seconds: int = 3600
    """How long the open card pages of an expired order may still bring money; then they are closed."""
    invoice_days: int = 5
    """How long an invoice order may wait for its money."""
    manual_days: int = 60
    """How long an order that staff entered may wait for its money."""
    payment_poll_seconds: float = 5
    """The first time that an open payment is asked for at its provider, in case its webhook is lost."""
    webhook_days: int = Field(90, ge=31)
    """How long the ids of webhooks are remembered; providers repeat one for days, and by hand for a month."""
    interest_days: int = Field(90, ge=1)
    """How long an order that was only a hold is remembered: seats that ran out or were let go."""
    export_rows: int = Field(100_000, ge=1, le=1_000_000)
    """Orders in one exported file; a greater one is refused before it begins."""
    return_origins: str = ""
    """Origins, separated by spaces, that a buyer may be sent back to beside our own `PUBLIC_URL`."""
    phone_region: str = "UA"
    """ISO 3166: how phone numbers without a country code are read until the organisation's own region is known."""
