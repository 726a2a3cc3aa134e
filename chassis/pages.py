"""Pages of lists. A list is ordered by a value and, where that is the same, by an id; the cursor names the last row."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import orjson

from chassis.problems import Invalid

Row = TypeVar("Row")
Value = TypeVar("Value")


def cut(rows: Sequence[Row], limit: int, place: Callable[[Row], tuple[Any, UUID]]) -> tuple[Sequence[Row], str | None]:
    """A page of `limit` rows and the cursor of the next one, from a query that asked for one row more."""
    shown = rows[:limit]
    return shown, cursor(*place(shown[-1])) if len(rows) > limit else None


def cursor(value: Any, ident: UUID) -> str:
    """Names a row by what its list is ordered by. Clients hand it back as it is."""
    return base64.urlsafe_b64encode(orjson.dumps([value, str(ident)])).decode().rstrip("=")


def read_cursor(text: str, kind: Callable[[Any], Value]) -> tuple[Value, UUID]:
    """The value, made by `kind`, and the id. Raises `Invalid` for anything that no such list gave out."""
    try:
        value, ident = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return kind(value), UUID(ident)
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error):
        raise Invalid("The cursor is not one of this list. Begin without one.") from None


def moment(text: str) -> datetime:
    """A value of `read_cursor`. Raises `ValueError` for a time without an offset."""
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError("no offset")
    return read.astimezone(UTC)
