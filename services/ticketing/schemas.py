"""What requests and answers of several areas are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from chassis.texts import NAMING, STORABLE
from contracts.money import KnownCurrency, Money

FIRST_YEAR, LAST_YEAR = 2000, 2199


def _in_range(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"must be between the years {FIRST_YEAR} and {LAST_YEAR}")
    return moment.astimezone(UTC)


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), NAMING]
Seat = Annotated[str, StringConstraints(min_length=1, max_length=200), STORABLE]
Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
Minor = Annotated[int, Field(ge=0, le=10**12)]


class Body(BaseModel):
    """A request or an answer."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Price(Body):
    minor: Minor
    """Minor units, so 125.00 UAH is 12500."""
    currency: KnownCurrency

    def money(self) -> Money:
        return Money(minor=self.minor, currency=self.currency)


class PrintedTwice(Body):
    """Seats whose tickets would say the same place. They can be sold; give one of them another row or number."""

    place: str
    """In the organisation's language."""
    seats: list[str]
