"""How people type what they look for, and what it is compared with; names in the order of the alphabet."""

from __future__ import annotations

import random

import pytest

from chassis.alphabets import CYRILLIC_FIRST, SCRIPT_BEGINS, sort_key
from chassis.search import GRAM, asked, fold, stored

PEOPLE = (
    ("Łukasz Wójcik", "l@example.com", "+48501234567"),
    ("Фёдор Семёнов", "f@example.com", None),
    ("Олена Дем'янчук", "o@example.com", "+380671112233"),
    ("Siobhán O'Brien", "s@example.com", None),
    ("José Ibáñez", "j@example.com", None),
    ("Ada  Lovelace", "a@example.com", None),
    ("Jürgen Groß-Müller", "j.gross-m@example.com", "+4915112345678"),
    ("Ґонта Їжакевич", "g@example.com", None),
)
NUMBER, TICKET = "8622-RT65", "1000012"


def finds(text: str, search: str) -> bool:
    """As the statement compares them."""
    words = asked(search, "UA")
    parts = [[word if len(word) >= GRAM else f" {word}" for word in meant] for meant in words]
    return bool(words) and all(any(part in f" {text}" for part in meant) for meant in parts)


@pytest.mark.parametrize(
    ("search", "person"),
    [
        ("067 111 22 33", 2),
        ("+38 (067) 111-22-33", 2),
        ("8 067 111-22-33", 2),
        ("111-22-33", 2),
        ("501 234 567", 0),
        ("Олена 067.111.22.33", 2),
        ("Lovelace Ada", 5),
        ("ada lovelace", 5),
        ("Дем'янчук Олена", 2),
        ("Wojcik", 0),
        ("WÓJCIK ŁUKASZ", 0),
        ("Ibanez", 4),
        ("Федор", 1),
        ("семёнов", 1),
        ("Дем’янчук", 2),
        ("Демʼянчук", 2),
        ("O’Brien", 3),
        ("Jose\u0301", 4),
        ("gross muller", 6),
        ("Groß–Müller", 6),
        ("Гонта", 7),
        ("жакев", 7),
        (" S@Example.com ", 3),
        ("J.Gross-M@Example.com", 6),
    ],
)
def test_a_person_is_found_however_typed(search: str, person: int) -> None:
    texts = [stored((name, email), phones=(phone,)) for name, email, phone in PEOPLE]
    assert [finds(text, search) for text in texts] == [number == person for number in range(len(PEOPLE))]


@pytest.mark.parametrize(
    "search",
    [
        "8622 RT65", "8622RT65", "8622rt65", "#8622-RT65", "№ 8622-RT65", "8622–RT65", "8622-RТ65", "8622\u2011RT65",
        "\uff18\uff16\uff12\uff12 RT65", "No. 8622-RT65", "№1000012", "nr 1000012", "1000012", "RT65",
    ],
)  # fmt: skip
def test_a_number_is_found_however_decorated(search: str) -> None:
    assert finds(stored(("Ada",), (NUMBER, TICKET)), search)
    assert not finds(stored(("Ada",), ("ABCD-EFGH", "1000013")), search)


@pytest.mark.parametrize("search", ["", "%", "_", "'", "№", "\\", "---"])
def test_a_search_without_a_word_finds_nothing(search: str) -> None:
    assert asked(search, "UA") == ()


def test_a_number_of_letters_alone_is_found_in_cyrillic_letters() -> None:
    assert finds(stored((), ("TEHT-AXPC",)), "ТЕНТ-АХРС")
    assert fold("Тент") == "тент"


@pytest.mark.parametrize("language", ["uk", "pl"])
def test_names_are_in_the_order_of_the_alphabet(language: str) -> None:
    cyrillic = ["Анна", "Гнат", "Ґалаґан", "Елена", "Ёлка", "Еней", "Єва", "Ирина", "Іван", "Їжак", "Йосип", "Яна"]
    latin = [
        "10 songs",
        "apple",
        "Čapek",
        "Lena",
        "Łukasz",
        "Maria",
        "Olga",
        "Óscar",
        "Zbigniew",
        "Zebra",
        "Źrebak",
        "Żaneta",
    ]
    expected = cyrillic + latin if language in CYRILLIC_FIRST else latin + cyrillic
    shuffled = random.Random(1).sample(expected, len(expected))
    in_order = sorted(
        shuffled, key=lambda name: (language in CYRILLIC_FIRST and sort_key(name) < SCRIPT_BEGINS, sort_key(name))
    )
    assert in_order == expected
    assert sort_key(" ada  LOVELACE!") == sort_key("Ada Lovelace")
