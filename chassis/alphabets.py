"""Sorting names as people look for them: one key for the alphabets of our languages, and which script comes first.

The keys are made here and not by a collation of the database: they are kept in a column with an index, whose order must
not change with a release of ICU, and not every PostgreSQL has ICU at all. The alphabets do not contradict each other: a
letter that a language has in addition stands where it puts it, and the other languages do not use it.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

LATIN = "aąbcćdđeęfghijklłmnńoópqrsśtuvwxyzźż"
CYRILLIC = "абвгґдѓеєжзѕиіїйјкќлљмнњопрстћуўфхцчџшщъыьэюя"
CYRILLIC_FIRST = frozenset({"uk", "ru"})
"""Languages of organisations."""
SEPARATE = frozenset((LATIN + CYRILLIC).replace("đ", ""))
"""Letters of their own, though Unicode takes some of them apart."""
LATIN_AT, CYRILLIC_AT = 0x40, ord("~")
WEIGHTS = {letter: LATIN_AT + place for place, letter in enumerate(LATIN)} | {
    letter: CYRILLIC_AT + place for place, letter in enumerate(CYRILLIC)
}
TWO = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ø": "o", "ı": "i"}
SCRIPT_BEGINS = chr(CYRILLIC_AT)
"""The keys of names in Cyrillic are from here on, those of names in Latin letters and digits before."""
MOST = 100
"""Letters of a name that are looked at."""


@lru_cache(maxsize=4096)
def sort_key(name: str) -> str:
    """Compared letter by letter, as code points: in PostgreSQL `COLLATE "C"`. Case, blanks and punctuation around
    words make no difference; a missing name comes first."""
    key: list[str] = []
    for letter in unicodedata.normalize("NFC", name.casefold())[:MOST]:
        for part in _letters(letter):
            if part in WEIGHTS:
                key.append(chr(WEIGHTS[part]))
            elif part.isalnum():
                key.append(part if part.isascii() else chr(0x10000 + min(ord(part), 0xFFFF)))
            elif part.isspace() and key and key[-1] != " ":
                key.append(" ")
    return "".join(key).rstrip()


def _letters(letter: str) -> str:
    """A letter as it is sorted: itself, if an alphabet has it, or those it is made of, without their marks."""
    if letter in SEPARATE:
        return letter
    if letter in TWO:
        return TWO[letter]
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return plain or ""
