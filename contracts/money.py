"""Money on the wire: an integer count of the currency's minor unit, never a float."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LIMIT = 2**53 - 1
"""Larger integers are rounded by JSON readers that keep numbers as doubles, JavaScript among them."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code")]


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
