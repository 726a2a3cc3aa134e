"""What is printed on a ticket can be read: each letter has a shape in the font."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from pypdf import PdfReader

from chassis import money, wall_clock
from contracts.money import Money
from services.ticketing.tickets.document import LANGUAGES, WORDS, PrintedDocument, PrintedTicket, print_document
from services.ticketing.tickets.fonts import LETTERS

FRIDAY = datetime(2026, 11, 27, 17, tzinfo=UTC)
PRICE = Money(minor=65_000, currency="UAH")
ZONE = "Europe/Kyiv"


def printed(locale: str, holder: str = "Мар'яна Ґудзь") -> str:
    ticket = PrintedTicket("1000001", "code", holder, ("Партер", "ряд 1"), "Партер", PRICE)
    made = PrintedDocument("Театр", "Лісова пісня", FRIDAY, ZONE, "Hall", locale, [ticket])
    (page,) = PdfReader(io.BytesIO(print_document(made))).pages
    return page.extract_text()


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


def test_a_letter_that_no_font_has_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The control of the test before."""
    assert "1000001" in printed("en", "山田")
    assert "missing the following glyphs" in caplog.text
