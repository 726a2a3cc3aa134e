"""What is printed on a ticket can be read: each letter has a shape in the font."""

from __future__ import annotations

import io
import logging
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pypdf import PageObject, PdfReader

from chassis import money, wall_clock
from chassis.logging import configure
from contracts.money import Money
from services.ticketing.settings import Settings
from services.ticketing.tickets import fonts
from services.ticketing.tickets.document import (
    LANGUAGES,
    QR_SIDE,
    QR_TOP,
    WORDS,
    PrintedDocument,
    PrintedTicket,
    print_document,
    printable,
)
from services.ticketing.tickets.fonts import LETTERS, fonts_for

FRIDAY = datetime(2026, 11, 27, 17, tzinfo=UTC)
PRICE = Money(minor=65_000, currency="UAH")
ZONE = "Europe/Kyiv"


LONG = "Олександра-Вікторія Добровольська-Шевченківська " * 7
QR_LOWER_EDGE = 210 - QR_TOP - QR_SIDE
"""Millimetres from the lower edge of the page."""


def made(holder: str = "Мар'яна Ґудзь", locale: str = "uk", **more: Any) -> PrintedDocument:
    ticket = PrintedTicket("1000001", "code", holder, more.pop("place", ("Партер", "ряд 1")), "Партер", PRICE)
    values = {"organisation": "Театр", "show": "Лісова пісня", "hall": "Hall", **more}
    return PrintedDocument(starts_at=FRIDAY, time_zone=ZONE, locale=locale, tickets=(ticket,), **values)


def page_of(document: PrintedDocument) -> PageObject:
    (page,) = PdfReader(io.BytesIO(print_document(document))).pages
    return page


def printed(locale: str, holder: str = "Мар'яна Ґудзь") -> str:
    return page_of(made(holder, locale)).extract_text()


def lowest(page: PageObject) -> float:
    """Millimetres from the lower edge to the lowest text above the code."""
    found = []

    def see(text: str, _: Any, matrix: list[float], *rest: Any) -> None:
        height = matrix[5] * 25.4 / 72
        if text.strip() and height > QR_LOWER_EDGE:
            found.append(height)

    page.extract_text(visitor_text=see)
    return min(found)


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_small_font_has_every_word_of_ours(locale: str) -> None:
    days = [FRIDAY + timedelta(days=day) for day in range(366)]
    words = [*WORDS[locale].values(), *(wall_clock.show(day, ZONE, locale) for day in days)]
    prices = [money.show(Money(minor=-123_456_700, currency=code), locale) for code in ("UAH", "PLN", "EUR", "KZT")]
    assert set("".join([*words, *prices])) <= {chr(letter) for letter in LETTERS}


@pytest.mark.parametrize(
    ("locale", "holder"),
    [
        ("uk", "Знамʼянська Мар’яна"),
        ("en", "Ștefan Țepeș"),
        ("pl", "Ελένη Παπαδοπούλου"),
        ("ru", "Nguyễn Thị Ánh"),
    ],
)
def test_names_with_rarer_letters_are_printed(locale: str, holder: str, caplog: pytest.LogCaptureFixture) -> None:
    assert holder in printed(locale, holder)
    assert "missing" not in caplog.text


@pytest.mark.parametrize(
    "holder",
    [
        "გიორგი მაისურაძე",
        "王小明",
        "山田太郎",
        "Աննա Հակոբյան",
        "Ada 🎭",
        "अमिता शर्मा",
        "สมชาย",
    ],
)
def test_names_in_other_scripts_are_printed(holder: str, caplog: pytest.LogCaptureFixture) -> None:
    """Some letters join on the page, so the text that is read back may name them in another form."""
    assert fonts_for(holder).missing == frozenset()
    text = printed("uk", holder)
    assert "\N{REPLACEMENT CHARACTER}" not in text
    assert set(holder) & (set(text) - set(string.printable)), text
    assert caplog.text == ""


def test_names_from_right_to_left_begin_on_the_right() -> None:
    """A page has its words from left to right, so the first one of the name comes last."""
    text = printed("en", "אברהם לוי")
    assert 0 <= text.index("לוי") < text.index("אברהם")


def test_a_letter_that_no_font_has_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The control of the tests before. The letter is named by its number: a name is nobody's business in a log."""
    assert "\N{REPLACEMENT CHARACTER}" in printed("en", "Ada \U00013000")
    assert "0x13000" in caplog.text
    assert "\U00013000" not in caplog.text


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Ada\nLovelace", "Ada Lovelace"),
        ("Ada\r\n\n\tLovelace\u2028x", "Ada Lovelace x"),
        ("\u202eecalevoL adA", "ecalevoL adA"),
        ("A\u200bd\x07a", "Ada"),
        ("\u2800", ""),
        ("👩\u200d🎤", "👩\u200d🎤"),
        ("x" * 301, "x" * 299 + "…"),
    ],
)
def test_a_name_is_one_line_that_turns_nothing_around(typed: str, shown: str) -> None:
    assert printable(typed) == shown


@pytest.mark.parametrize(
    "text",
    [LONG, "\n" * 300 + "end", "Ж" * 300, "W " * 150, "王" * 300, "გ" * 300, "א" * 300, "🎭" * 100],
    ids=["words", "lines", "one word", "wide", "Chinese", "Georgian", "Hebrew", "emoji"],
)
def test_the_code_keeps_its_place_whatever_people_type(text: str) -> None:
    everywhere = {"organisation": text, "show": text, "hall": text, "place": (text, text)}
    page = page_of(made(text, **everywhere))
    assert lowest(page) >= 210 - QR_TOP, "nothing is printed over the code"
    assert "1000001" in page.extract_text()


def test_libraries_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    configure(Settings(log_level="INFO"))
    for cached in (fonts._usual, fonts._letters_of):
        cached.cache_clear()
    with caplog.at_level(logging.INFO):
        print_document(made("王小明"))
    assert [record.name for record in caplog.records] == []
