"""The words of messages in every language."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from jinja2 import UndefinedError

from services.notifications.letters import LANGUAGES, Setting, Template, short_text, write
from services.notifications.letters.formats import Formats
from services.notifications.letters.render import language_of

UAH = "UAH"
CYRILLIC, LATIN = re.compile("[а-яіїєґё]", re.IGNORECASE), re.compile("[a-z]", re.IGNORECASE)


def money(minor: int) -> dict[str, object]:
    return {"minor": minor, "currency": UAH}


TICKETS = [
    {"number": "F-1-1", "label": "Row 1, seat 7", "holder": {"name": "Zofia"}},
    {"number": "F-1-2", "label": "Row 1, seat 8", "holder": {"name": "Jan"}},
]
PARAMS: dict[str, object] = {
    "tickets": TICKETS,
    "show_name": "Hamlet",
    "starts_at": "2026-12-05T17:00:00+00:00",
    "hall_name": "Main stage",
    "document_url": "https://example.com/d?a=1&b=2",
    "number": "F-1",
    "title": "Hamlet",
    "lines": [{"title": "Row 1, seat 7", "total": money(12_550)}],
    "total": money(12_550),
    "paid": money(12_550),
    "refunded": money(550),
    "payment_status": "partially_refunded",
    "payment_method": "card",
    "pay_by": "2026-12-01T10:15:00+00:00",
    "order_url": "https://example.com/o",
    "amount": money(12_550),
    "full": False,
    "customer": {"name": "Jan", "phone": "+48123456789", "email": "jan@example.com"},
    "course": "Voice",
    "access_url": "https://example.com/c",
    "documents": [{"name": "Jan", "url": "https://example.com/d"}],
    "link": "https://example.com/auth/link?token=a.b.c",
    "minutes": 60,
}


def setting(language: str, **more: str) -> Setting:
    return Setting(**{"organisation": "Globe", "time_zone": "Europe/Kyiv", "language": language, "name": "Jan", **more})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", Template)
def test_every_template_speaks_every_language(template: Template, language: str):
    letter = write(template, setting(language, address="jan@example.com"), PARAMS)
    words = letter.subject + letter.plain + short_text(template, setting(language), PARAMS)
    own_words = re.sub(
        r"https?://\S+|Hamlet|Main stage|Row 1, seat \d|Zofia|Jan|Globe|Voice|UAH|F-1\S*|jan@\S+", "", words
    )
    if language in {"uk", "ru"}:
        assert CYRILLIC.search(own_words)
        assert not LATIN.search(own_words.replace("PDF", "")), "no word of another language is left"
    else:
        assert not CYRILLIC.search(own_words)
    if language == "uk":
        assert not re.search("[ыэъё]", own_words)
    if language == "ru":
        assert not re.search("[іїєґ]", own_words)
    assert f'<html lang="{language}">' in letter.html
    assert "Globe" in letter.plain
    assert "\n\n\n" not in letter.plain


def test_what_people_typed_is_escaped_in_html_and_stays_as_it_is_in_plain_text():
    evil = {**PARAMS, "show_name": "<script>alert(1)</script>", "tickets": [{**TICKETS[0], "holder": {"name": "A&B"}}]}
    letter = write("tickets_issued", setting("en", name="<img src=x>", organisation="O'Neil <b>"), evil)
    assert "<script>" not in letter.html
    assert "<img" not in letter.html
    assert "<b>" not in letter.html
    assert "A&amp;B" in letter.html
    assert "<script>alert(1)</script>" in letter.plain


def test_only_web_addresses_become_links():
    with pytest.raises(ValueError, match="http"):
        write("course_access", setting("en"), {**PARAMS, "access_url": "javascript:alert(1)"})


def test_a_missing_value_is_an_error_and_not_a_gap():
    with pytest.raises(UndefinedError):
        write("order_refunded", setting("en"), {name: value for name, value in PARAMS.items() if name != "amount"})


@pytest.mark.parametrize(
    ("language", "count", "words"),
    [
        ("en", 1, "Your ticket is attached"),
        ("en", 2, "Your 2 tickets are attached"),
        ("uk", 2, "додано 2 квитки"),
        ("uk", 5, "додано 5 квитків"),
        ("uk", 21, "додано 21 квиток"),
        ("pl", 2, "są 2 bilety"),
        ("pl", 5, "jest 5 biletów"),
        ("pl", 21, "jest 21 biletów"),
        ("pl", 22, "są 22 bilety"),
        ("ru", 3, "приложены 3 билета"),
        ("ru", 11, "приложено 11 билетов"),
        ("ru", 21, "приложен 21 билет"),
    ],
)
def test_numbers_of_tickets_follow_the_rules_of_the_language(language: str, count: int, words: str):
    letter = write("tickets_issued", setting(language), {**PARAMS, "tickets": TICKETS[:1] * count})
    assert words in letter.plain


@pytest.mark.parametrize(
    ("language", "when", "amount"),
    [
        ("en", "Saturday, 5 December 2026, 19:00", "₴125.50"),
        ("uk", "субота, 5 грудня 2026, 19:00", "125,50\xa0₴"),
        ("pl", "sobota, 5 grudnia 2026, 19:00", "125,50\xa0UAH"),
        ("ru", "суббота, 5 декабря 2026, 19:00", "125,50\xa0₴"),
    ],
)
def test_moments_are_the_organisations_wall_clock_and_money_is_the_languages(language: str, when: str, amount: str):
    formats = Formats(language, "Europe/Kyiv")
    assert formats.when(datetime(2026, 12, 5, 17, 0, tzinfo=UTC)) == when
    shown = formats.money(money(12_550))
    assert shown in {amount, "UAH\xa0125.50", "UAH125.50"}


def test_a_zone_nobody_knows_is_written_as_utc():
    assert Formats("en", "Mars/Olympus").when("2026-12-05T17:00:00Z").endswith("17:00 UTC")


@pytest.mark.parametrize(
    ("locale", "language"), [("uk-UA", "uk"), ("pl_PL", "pl"), ("RU", "ru"), ("de", "en"), (None, "en"), ("", "en")]
)
def test_a_locale_we_have_no_words_for_is_english(locale: str | None, language: str):
    assert language_of(locale) == language
