"""People's text at the edge: what is refused, what is cleaned, and what stays."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from chassis.people import normalise_phone, phone_to_keep
from chassis.texts import ONE_LINE, STORABLE, Named, like, without_nul

NAME, LINE = TypeAdapter(Named), TypeAdapter(Annotated[str, ONE_LINE])
TEXT = TypeAdapter(Annotated[str, STORABLE])


@pytest.mark.parametrize("blank", ["\u200b", "\u2800", "\u3164", "\u00ad\u2060", " \u200e ", "—", "\u0301", "\u200d"])
def test_a_name_that_nobody_sees_is_refused(blank: str) -> None:
    with pytest.raises(ValidationError, match="letter that can be seen"):
        NAME.validate_python(blank)


@pytest.mark.parametrize(
    "name", ["Ada\nLovelace", "Ada\u0007", "\u202eecalevoL adA", "A\u2028B", "A\tB", "\u2067Ada", "a\x00b", "a\x85b"]
)
def test_control_and_direction_characters_are_refused_and_named(name: str) -> None:
    with pytest.raises(ValidationError, match=r"U\+[0-9A-F]{4} at position \d"):
        NAME.validate_python(name)


@pytest.mark.parametrize("name", ["Ada", "王小明", "محمد عبد الله", "👩\u200d🎤", "Дем'янчук", "क\u094dष", "X Æ 12"])
def test_names_of_people_stay(name: str) -> None:
    assert NAME.validate_python(name) == name


def test_the_same_word_is_the_same_text() -> None:
    assert NAME.validate_python(" Jose\u0301\u200b ") == "José"
    assert LINE.validate_python("Ірина\u00a0Węgrzyn") == "Ірина\u00a0Węgrzyn"
    assert TEXT.validate_python("two\r\n\tlines") == "two\r\n\tlines"
    with pytest.raises(ValidationError, match="must not contain"):
        TEXT.validate_python("a\u202eb")
    with pytest.raises(ValidationError, match="NUL"):
        TEXT.validate_python("a\x00b")


def test_events_lose_what_cannot_be_kept() -> None:
    assert without_nul("a\x00b") == "ab"


def test_wildcards_are_searched_as_they_are() -> None:
    assert like("50%_a\\b") == "%50\\%\\_a\\\\b%"


def test_a_phone_with_an_extension_is_refused_and_not_shortened() -> None:
    assert phone_to_keep("+1 212-555-2368", "UA") == "+12125552368"
    for extended in ("+1 212-555-2368 ext. 42", "+1 212 555 2368 x42", "+380 67 111 22 33;ext=7"):
        with pytest.raises(ValueError, match="extension"):
            phone_to_keep(extended, "UA")
        assert normalise_phone(extended, "UA")
    with pytest.raises(ValueError, match="not valid in UA: write it with its country"):
        phone_to_keep("12", "UA")
