"""The part of the orders service's settings that its payment providers read."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import SecretStr, model_validator

from chassis.settings import ServiceSettings

SANDBOX_KEY = "development-only-sandbox-key"
SANDBOX_SECRET = "whsec_ZGV2ZWxvcG1lbnQtb25seS1zYW5kYm94LXNlY3JldCE="  # noqa: S105  public, the sandbox's own default


class PaymentSettings(ServiceSettings):
    """A webhook secret may be several, separated by spaces: the new and the old one while it is being changed.

    The sandbox's development defaults are refused in production only where it is the provider in use, so that a shop
    that takes money through Stripe need not name a sandbox.
    """

    checked_elsewhere: ClassVar[frozenset[str]] = frozenset({"sandbox_api_key", "sandbox_webhook_secret"})

    payment_provider: Literal["sandbox", "stripe"] = "sandbox"
    """Who new payments are started with; payments already started stay with their own provider."""
    payment_hold: bool = False
    """Card pages only authorise; the money stays held (ORD-89) until it is captured or cancelled."""
    payment_provider_timeout: float = 10
    """Seconds for one call to a provider, retries inside it included."""

    sandbox_url: str = "http://127.0.0.1:8010"
    sandbox_api_key: SecretStr = SecretStr(SANDBOX_KEY)
    sandbox_webhook_secret: SecretStr = SecretStr(SANDBOX_SECRET)

    stripe_api_key: SecretStr = SecretStr("")
    """Empty: there is no Stripe."""
    stripe_webhook_secret: SecretStr = SecretStr("")
    stripe_api_base: str = ""
    """Empty: Stripe itself."""
    stripe_flow: Literal["checkout", "intent"] = "checkout"
    """See `services.orders.payments.providers.stripe`."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.payment_provider == "stripe" and not (
            self.stripe_api_key.get_secret_value() and self.stripe_webhook_secret.get_secret_value()
        ):
            raise ValueError("PAYMENT_PROVIDER=stripe needs STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET")
        if self.footlights_env == "production" and self.payment_provider == "sandbox":
            kept = [
                name
                for name, value, default in (
                    ("SANDBOX_API_KEY", self.sandbox_api_key, SANDBOX_KEY),
                    ("SANDBOX_WEBHOOK_SECRET", self.sandbox_webhook_secret, SANDBOX_SECRET),
                )
                if value.get_secret_value() == default
            ]
            if kept:
                raise ValueError(f"set in production, the development default is refused: {', '.join(kept)}")
        return self
