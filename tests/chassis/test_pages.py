"""Cursors of lists, and text that can be kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter

from chassis.pages import cursor, cut, moment, read_cursor
from chassis.problems import Invalid
from chassis.texts import ONE_LINE, STORABLE, like, without_nul

IDENT = UUID("00000000-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    ("value", "kind"), [("Ostap Węgrzyn", str), (12_500, int), (datetime(2026, 5, 1, 18, 30, tzinfo=UTC), moment)]
)
def test_a_cursor_brings_its_row_back(value, kind) -> None:
    assert read_cursor(cursor(value, IDENT), kind) == (value, IDENT)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "x", "ї", "e30", cursor("2026-05-01T18:30:00", IDENT), cursor(5, IDENT), cursor(None, IDENT)],
)
def test_what_no_list_gave_out_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_cursor(text, moment)


def test_the_last_page_has_no_next() -> None:
    rows = [(number, uuid4()) for number in range(3)]
    shown, more = cut(rows, 2, lambda row: row)
    assert shown == rows[:2]
    assert more is not None
    assert read_cursor(more, int) == rows[1]
    assert cut(rows, 3, lambda row: row) == (rows, None)
    assert cut([], 3, lambda row: row) == ([], None)


def test_text_that_cannot_be_kept_or_printed_is_refused() -> None:
    storable, line = TypeAdapter(Annotated[str, STORABLE]), TypeAdapter(Annotated[str, ONE_LINE])
    assert storable.validate_python("two\nlines") == "two\nlines"
    assert line.validate_python("Ірина\u00a0Węgrzyn") == "Ірина\u00a0Węgrzyn"
    for adapter, wrong in ((storable, "a\x00b"), (line, "a\x00b"), (line, "two\nlines"), (line, "a\u202eb")):
        with pytest.raises(ValueError, match="must not contain"):
            adapter.validate_python(wrong)
    assert without_nul("a\x00b") == "ab"


def test_wildcards_are_searched_as_they_are() -> None:
    assert like("50%_a\\b") == "%50\\%\\_a\\\\b%"
