"""What requests and answers of several areas are made of."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from chassis.problems import Invalid
from contracts.money import Currency, Money

FIRST_YEAR, LAST_YEAR = 2000, 2199


def no_nul(value: str) -> str:
    """PostgreSQL keeps no NUL characters."""
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value


def _in_range(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"must be between the years {FIRST_YEAR} and {LAST_YEAR}")
    return moment.astimezone(UTC)


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), AfterValidator(no_nul)]
Seat = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(no_nul)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
Minor = Annotated[int, Field(ge=0, le=10**12)]


class Body(BaseModel):
    """A request or an answer."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Price(Body):
    minor: Minor
    """Minor units, so 125.00 UAH is 12500."""
    currency: Currency

    def money(self) -> Money:
        return Money(minor=self.minor, currency=self.currency)


def cursor(moment: datetime, ident: UUID) -> str:
    """Where the next page of a list ordered by time begins."""
    return base64.urlsafe_b64encode(f"{moment.isoformat()}|{ident}".encode()).decode()


def read_cursor(text: str) -> tuple[datetime, UUID]:
    """Raises `Invalid` for anything that no list of ours gave out."""
    try:
        moment, _, ident = base64.urlsafe_b64decode(text.encode()).decode().partition("|")
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(ident)
    except (ValueError, OverflowError, binascii.Error):
        raise Invalid("The cursor is not one of this list. Begin without one.") from None
