"""Which providers there are is said by the settings, and production refuses what is only good for development."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from deploy.sandbox.settings import SandboxSettings
from services.orders.payments.providers import build_providers
from services.orders.payments.providers.settings import SANDBOX_KEY, SANDBOX_SECRET, PaymentSettings

OWN: dict[str, Any] = {"link_secret": SecretStr("l" * 32), "erasure_key": SecretStr("e" * 32)}
STRIPE: dict[str, Any] = {
    "stripe_api_key": SecretStr("sk_live_x"),
    "stripe_webhook_secret": SecretStr("whsec_new whsec_old"),
}


def test_both_sides_of_the_sandbox_agree_on_the_development_defaults():
    sandbox = SandboxSettings()
    assert sandbox.api_key.get_secret_value() == SANDBOX_KEY
    assert sandbox.webhook_secret.get_secret_value() == SANDBOX_SECRET


async def test_the_sandbox_is_the_default_and_stripe_joins_with_its_key():
    assert list(build_providers(PaymentSettings())) == ["sandbox"]
    providers = build_providers(PaymentSettings(**STRIPE))
    assert list(providers) == ["sandbox", "stripe"]
    for provider in providers.values():
        await provider.aclose()


async def test_production_with_stripe_knows_no_sandbox():
    settings = PaymentSettings(footlights_env="production", payment_provider="stripe", **STRIPE, **OWN)
    providers = build_providers(settings)
    assert list(providers) == ["stripe"]
    await providers["stripe"].aclose()


def test_production_refuses_the_sandbox_with_its_development_secrets():
    with pytest.raises(ValidationError, match="SANDBOX_API_KEY, SANDBOX_WEBHOOK_SECRET"):
        PaymentSettings(footlights_env="production", **OWN)
    settings = PaymentSettings(
        footlights_env="production", sandbox_api_key=SecretStr("k"), sandbox_webhook_secret=SecretStr("s"), **OWN
    )
    assert list(build_providers(settings)) == ["sandbox"]


def test_stripe_without_its_secrets_is_refused():
    with pytest.raises(ValidationError, match="STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET"):
        PaymentSettings(payment_provider="stripe", stripe_api_key=SecretStr("sk_live_x"))


def test_secrets_are_not_shown():
    assert "sk_live_x" not in repr(PaymentSettings(**STRIPE))
