"""Money on the wire: an integer count of the currency's minor unit, never a float."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LIMIT = 2**53 - 1
"""Larger integers are rounded by JSON readers that keep numbers as doubles, JavaScript among them."""

_DIGITS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
    "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
    "CLF": 4, "UYW": 4,
}  # fmt: skip
"""Digits of the minor unit by ISO 4217, where they are not two. Frozen: with other digits an amount that was written
means another sum."""

_CODES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX
USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
KNOWN = frozenset(_CODES.split())
"""Codes of money that can be sold for, by ISO 4217. Events keep any code: a currency that ends stays in old orders."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code")]


def _known(code: str) -> str:
    if code not in KNOWN:
        raise ValueError(f"{code} is not a currency of ISO 4217")
    return code


KnownCurrency = Annotated[Currency, AfterValidator(_known)]
"""Of what is offered."""


def minor_digits(currency: str) -> int:
    """Digits of the currency's minor unit: 2 for UAH, 0 for JPY."""
    return _DIGITS.get(currency, 2)


class Money(BaseModel):
    """An amount in the minor unit of one currency (kopiykas, groszy, cents; yen have none).

    Adding or comparing two currencies raises `ValueError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minor: int = Field(
        strict=True, ge=-LIMIT, le=LIMIT, description="Integer count of minor units, so 125.00 UAH is 12500"
    )
    currency: Currency

    def __add__(self, other: Money) -> Money:
        return Money(minor=self.minor + self._same(other), currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(minor=self.minor - self._same(other), currency=self.currency)

    def __neg__(self) -> Money:
        return Money(minor=-self.minor, currency=self.currency)

    def __mul__(self, quantity: int) -> Money:
        return Money(minor=self.minor * quantity, currency=self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ValueError(f"cannot mix {self.currency} and {other.currency}")
        return other.minor

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(minor=0, currency=currency)

    @classmethod
    def total(cls, amounts: Iterable[Money], currency: str) -> Money:
        """The sum of `amounts`, which may be empty; all must be in `currency`."""
        return sum(amounts, start=cls.zero(currency))
