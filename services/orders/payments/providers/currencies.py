"""Stripe's count of minor units where it differs from ours.

Ours follow ISO 4217: yen have none, dinars of Kuwait three. Stripe counts hundredths for every currency outside its own
short lists, Icelandic kronas and Ugandan shillings too, so 100 kronas are 100 here and 10000 there.
"""

from __future__ import annotations

from contracts.money import Money, minor_digits

STRIPE_WITHOUT_MINOR = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
STRIPE_THOUSANDTHS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])


def to_stripe(amount: Money) -> int:
    """Raises `ValueError` for an amount that Stripe cannot carry: thousandths must end in 0 there."""
    shift = _shift(amount.currency)
    if shift >= 0:
        minor = amount.minor * int(10**shift)
    else:
        minor, rest = divmod(amount.minor, int(10**-shift))
        if rest:
            raise ValueError(f"{amount.minor} {amount.currency} has more digits than Stripe takes")
    if amount.currency in STRIPE_THOUSANDTHS and minor % 10:
        raise ValueError(f"Stripe takes {amount.currency} in steps of ten thousandths, not {minor}")
    return minor


def from_stripe(minor: int, currency: str) -> Money:
    """Digits that we have no unit for are dropped: never more than was really paid."""
    code = currency.upper()
    shift = _shift(code)
    return Money(minor=minor // int(10**shift) if shift >= 0 else minor * int(10**-shift), currency=code)


def _shift(currency: str) -> int:
    theirs = 0 if currency in STRIPE_WITHOUT_MINOR else 3 if currency in STRIPE_THOUSANDTHS else 2
    return theirs - minor_digits(currency)
