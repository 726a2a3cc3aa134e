"""Whether two names may be one person's, as far as their letters say."""

from __future__ import annotations

import re
import unicodedata

ALIKE = str.maketrans({"ł": "l", "ß": "ss", "ґ": "г"})
APOSTROPHES = re.compile("['`\u00b4\u02bc\u2018\u2019]")
WORDS = re.compile(r"\w+")


def words(name: str) -> list[str]:
    """The words of a name as they are compared: without case, marks and apostrophes."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return WORDS.findall(APOSTROPHES.sub("", plain.translate(ALIKE)))


def may_be_one(one: str, other: str) -> bool:
    """True if every word of the shorter name is in the longer one, in any order, whole or as an initial.

    A name without letters contradicts none. The same name in two alphabets counts as two names.
    """
    shorter, longer = sorted((words(one), words(other)), key=len)
    left = list(longer)
    for word in sorted(shorter, key=len, reverse=True):
        fitting = next((w for w in left if w == word), None) or next((w for w in left if _initial(word, w)), None)
        if fitting is None:
            return False
        left.remove(fitting)
    return True


def _initial(one: str, other: str) -> bool:
    return one[0] == other[0] and 1 in (len(one), len(other))
