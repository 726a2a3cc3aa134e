"""Text that can be kept: PostgreSQL has no NUL, JSON does.

Requests are refused: `Annotated[str, Field(max_length=300), STORABLE]`, the constraints first. Events cannot be, they
lose it.
"""

from __future__ import annotations

import re

from pydantic import AfterValidator

NUL = "\x00"
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, separators of lines, and what turns the direction of the text around it."""
WILDCARDS = re.compile(r"[\\%_]")
BACKSLASHED = r"\\\g<0>"


def _storable(value: str) -> str:
    if NUL in value:
        raise ValueError("must not contain NUL characters")
    return value


def _line(value: str) -> str:
    if UNPRINTABLE.search(value):
        raise ValueError("must not contain control characters")
    return value


STORABLE = AfterValidator(_storable)
"""Any text; it may have several lines."""
ONE_LINE = AfterValidator(_line)
"""Text that can be typed, printed and sent in a header."""


def like(part: str) -> str:
    """A pattern for LIKE that finds `part` as it is, anywhere."""
    return f"%{WILDCARDS.sub(BACKSLASHED, part)}%"


def without_nul(text: str) -> str:
    return text.replace(NUL, "")
