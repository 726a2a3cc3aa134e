"""Minor units are converted between CLDR's count and Stripe's."""

import pytest
from babel.numbers import list_currencies
from hypothesis import given
from hypothesis import strategies as st

from contracts.money import Money
from services.orders.payments.providers.currencies import from_stripe, to_stripe


@pytest.mark.parametrize(
    ("minor", "currency", "theirs"),
    [
        (12500, "UAH", 12500),
        (500, "JPY", 500),
        (12340, "KWD", 12340),
        (100, "RSD", 100),
        (7, "ISK", 700),
        (7, "UGX", 700),
    ],
)
def test_known_currencies(minor, currency, theirs):
    assert to_stripe(Money(minor=minor, currency=currency)) == theirs
    assert from_stripe(theirs, currency.lower()) == Money(minor=minor, currency=currency)


@given(st.sampled_from(sorted(list_currencies())), st.integers(0, 10**9))
def test_there_and_back_is_the_same_or_refused(currency, minor):
    amount = Money(minor=minor, currency=currency)
    try:
        theirs = to_stripe(amount)
    except ValueError:
        assert minor % 10 or minor % 100
        return
    assert from_stripe(theirs, currency) == amount
