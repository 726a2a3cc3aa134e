"""Money is integers of one currency; anything else is refused."""

from __future__ import annotations

from itertools import product
from string import ascii_uppercase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chassis import money
from contracts.money import LIMIT, Money, minor_digits
from deploy.sandbox import pages
from deploy.sandbox.payments import Amount

amounts = st.integers(-(10**12), 10**12).map(lambda minor: Money(minor=minor, currency="UAH"))


@given(amounts, amounts, amounts)
def test_sums_are_exact(a: Money, b: Money, c: Money) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b - b == a
    assert a + -a == Money.zero("UAH")
    assert Money.total([a, b, c], "UAH") == a + b + c
    assert a * 3 == a + a + a


@given(amounts, amounts)
def test_order_is_that_of_the_amounts(a: Money, b: Money) -> None:
    assert (a < b) == (a.minor < b.minor)
    assert (a >= b) == (a.minor >= b.minor)
    assert bool(a) == (a.minor != 0)


def test_nothing_sums_to_zero() -> None:
    assert Money.total([], "PLN") == Money.zero("PLN")


def test_currencies_do_not_mix() -> None:
    hryvnia, zloty = Money(minor=1, currency="UAH"), Money(minor=1, currency="PLN")

    for mix in (
        lambda: hryvnia + zloty,
        lambda: hryvnia - zloty,
        lambda: hryvnia < zloty,
        lambda: hryvnia <= zloty,
        lambda: Money.total([zloty], "UAH"),
    ):
        with pytest.raises(ValueError, match=r"cannot mix (UAH and PLN|PLN and UAH)"):
            mix()
    assert hryvnia != zloty


@pytest.mark.parametrize("minor", [1.0, 0.5, "12500", True, None, LIMIT + 1, -LIMIT - 1])
def test_an_amount_is_an_integer_that_every_reader_can_hold(minor: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"minor": minor, "currency": "UAH"})


@pytest.mark.parametrize("currency", ["", "uah", "UA", "UAHX", "UAH\n", 980])
def test_a_currency_is_an_iso_code(currency: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"minor": 1, "currency": currency})


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (150_000, "RSD", "1 500,00 RSD"),
        (150_000, "ALL", "1 500,00 ALL"),
        (12_500, "UAH", "125,00 ₴"),
        (1_250, "JPY", "1 250 ¥"),
        (1_250, "KWD", "1,250 KWD"),
    ],
)
def test_digits_are_those_of_iso_4217_everywhere(minor: int, currency: str, shown: str) -> None:
    """CLDR shows no hundredths of dinars, leks and others that have no coins for them."""
    amount = Money(minor=minor, currency=currency)
    assert money.show(amount, "uk").replace("\N{NO-BREAK SPACE}", " ") == shown
    assert money.parse(str(money.major(amount)), currency) == amount
    assert pages.format_amount(Amount(minor=minor, currency=currency), "uk") == money.show(amount, "uk")


def test_the_sandbox_counts_as_we_do() -> None:
    codes = map("".join, product(ascii_uppercase, repeat=3))
    assert {code: minor_digits(code) for code in codes if minor_digits(code) != 2} == pages.DIGITS
