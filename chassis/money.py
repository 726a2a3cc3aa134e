"""Reading and showing money; on the wire and in tables it is minor units (contracts/money.py)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from babel import Locale
from babel.numbers import parse_pattern

from contracts.money import Money, minor_digits


def major(money: Money) -> Decimal:
    """12500 UAH is Decimal("125.00"); 1250 JPY is Decimal("1250")."""
    return Decimal(money.minor).scaleb(-minor_digits(money.currency))


def parse(amount: str, currency: str) -> Money:
    """The amount a person wrote, such as "125.5". Raises `ValueError` if it is none, or finer than the currency."""
    try:
        minor = Decimal(amount).scaleb(minor_digits(currency))
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not an amount") from None
    if minor != minor.quantize(Decimal(1), rounding=ROUND_HALF_UP):
        raise ValueError(f"{amount} is finer than {currency} allows")
    return Money(minor=int(minor), currency=currency)


def show(money: Money, locale: str) -> str:
    """As people of a locale write it: 125,00 ₴."""
    pattern = parse_pattern(Locale.parse(locale).currency_formats["standard"].pattern)
    # Not the digits of CLDR: it leaves out those that cash has no coins for, and changes with its releases.
    pattern.frac_prec = (minor_digits(money.currency),) * 2
    shown: str = pattern.apply(major(money), locale, currency=money.currency, currency_digits=False)
    return shown
