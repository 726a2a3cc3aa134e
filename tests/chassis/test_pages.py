"""Cursors of lists."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from chassis.pages import cursor, cut, moment, read_cursor
from chassis.problems import Invalid

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
