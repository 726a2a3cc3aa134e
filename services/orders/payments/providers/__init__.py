"""The payment providers of this installation: which ones there are is said by the settings alone."""

from __future__ import annotations

from services.orders.payments.provider import PaymentProvider
from services.orders.payments.providers.sandbox import SandboxProvider
from services.orders.payments.providers.settings import PaymentSettings
from services.orders.payments.providers.stripe import StripeProvider


def build_providers(settings: PaymentSettings) -> dict[str, PaymentProvider]:
    """By name. New payments go to `settings.payment_provider`; the others finish what they have started.

    In production the sandbox is there only if it is the one in use: elsewhere nobody can pay with test cards.
    """
    providers: dict[str, PaymentProvider] = {}
    if settings.payment_provider == "sandbox" or settings.footlights_env != "production":
        providers["sandbox"] = SandboxProvider(
            settings.sandbox_url,
            settings.sandbox_api_key.get_secret_value(),
            settings.sandbox_webhook_secret.get_secret_value().split(),
            hold=settings.payment_hold,
            timeout=settings.payment_provider_timeout,
        )
    if settings.stripe_api_key.get_secret_value():
        providers["stripe"] = StripeProvider(
            settings.stripe_api_key.get_secret_value(),
            settings.stripe_webhook_secret.get_secret_value().split(),
            api_base=settings.stripe_api_base,
            flow=settings.stripe_flow,
            hold=settings.payment_hold,
            timeout=settings.payment_provider_timeout,
        )
    return providers
