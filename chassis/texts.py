"""Text of people, cleaned at the edge: what can be kept, printed, sent and read.

Requests are refused: `Annotated[str, Field(max_length=300), STORABLE]`, the constraints first. Events cannot be, they
lose what cannot be kept. Cleaned text is in the normal form NFC: the same word is the same text however it was typed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

NUL = "\x00"
CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
"""Control characters but those of lines, and what turns the direction of the text around it."""
UNPRINTABLE = re.compile(f"[{CONTROLS}]")
UNPRINTABLE_IN_LINE = re.compile(f"[{CONTROLS}\t\n\r\u2028\u2029]")
UNSEEN = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u2060-\u2064\ufeff\ufff9-\ufffb]")
"""What nobody sees, and nobody types on purpose; joiners are not among it, they shape letters."""
BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Fillers and the empty pattern of Braille: letters and signs by their category, blank on paper."""
VISIBLE = {"L", "N", "S"}
"""General categories of what names somebody: letters, digits, and pictures."""
WILDCARDS = re.compile(r"[\\%_]")
BACKSLASHED = r"\\\g<0>"


def _storable(value: str) -> str:
    if NUL in value:
        raise ValueError("must not contain NUL characters")
    return _clean(value, UNPRINTABLE)


def _line(value: str) -> str:
    return _clean(value, UNPRINTABLE_IN_LINE)


def _name(value: str) -> str:
    line = _line(value).strip()
    if not any(unicodedata.category(letter)[0] in VISIBLE and letter not in BLANK_LETTERS for letter in line):
        raise ValueError("must have a letter that can be seen")
    return line


def _clean(value: str, refused: re.Pattern[str]) -> str:
    if value.isascii() and value.isprintable():
        return value
    if found := refused.search(value):
        where = f"U+{ord(found[0]):04X} at position {found.start() + 1}"
        raise ValueError(f"must not contain control characters or signs that turn the direction of text: {where}")
    return unicodedata.normalize("NFC", UNSEEN.sub("", value))


STORABLE = AfterValidator(_storable)
"""Any text; it may have several lines."""
ONE_LINE = AfterValidator(_line)
"""Text that can be typed, printed and sent in a header."""
NAMING = AfterValidator(_name)
"""One line that names somebody or something, so that it can be seen."""
Named = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), NAMING]
"""The name of a person or a thing, as it is printed."""


def like(part: str) -> str:
    """A pattern for LIKE that finds `part` as it is, anywhere."""
    return f"%{WILDCARDS.sub(BACKSLASHED, part)}%"


def without_nul(text: str) -> str:
    return text.replace(NUL, "")
