"""Searching text as people type it: stored and asked text are folded alike, then compared by parts of words.

Every word that is asked for must be in the stored text, in any order: whole, or as a part of three letters and more;
shorter words are beginnings. Case, marks, apostrophes, dashes and kinds of blanks make no difference, nor do letters of
another alphabet that look alike in what has digits. A number is found with or without what decorates it, a phone number
in any of its forms.

The texts are rows of a table of their own (`Searched`), so that what else changes of an object does not touch their
index. That is one of trigrams, by a function of SQL: PostgreSQL's own `pg_trgm` is not on every server.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

from sqlalchemy import ColumnElement, Index, Select, and_, false, func, or_, select, text, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis.migrations import Executes, protect
from chassis.people import normalise_phone
from chassis.texts import like

ALIKE = str.maketrans(
    {"ł": "l", "đ": "d", "ð": "d", "ø": "o", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "ґ": "г", "ў": "у"}
)
"""What NFKD does not take apart."""
SIGNS = str.maketrans({"№": " ", "#": " ", "º": " ", "°": " "})
APOSTROPHES = re.compile("['`\u00b4\u02b9\u02bb\u02bc\u02c8\u2018\u2019\u201b\u2032\uff07]")
NO_PART = re.compile(r"[^\w@.+]|_")
"""Dashes and the like part words; addresses stay whole."""
NUMBERED = re.compile(r"\b(?:no|nr|n)\b\.?\s*(?=\S*\d)")
PHONE = re.compile(r"(?<![^\s(])\+?\d(?:[\s().\-/\u2010-\u2015]*\d)+(?![^\s),;.])")
"""Digits with what people put between them, apart from letters."""
CYRILLIC_ALIKE = str.maketrans("авсенкмортухіѕјһԁ", "abcehkmoptyxisjhd")
GREEK_ALIKE = str.maketrans("αβεζηικμνορτυχ", "abezhikmnoptyx")
LOCAL_WITH_8 = 11
"""Digits of a number with the 8 of a long-distance call before it."""
GRAM = 3
"""Letters of a part; `GRAMS` says so too."""
MOST_WORDS = 12
"""Of a text that is searched for; more of them would only make it slow."""


def fold(raw: str) -> str:
    """The words of a text as they are compared, with a blank between them."""
    return " ".join(map(_latin_number, _plain(raw).split()))


def _plain(raw: str) -> str:
    decomposed = unicodedata.normalize("NFKD", APOSTROPHES.sub("", raw.translate(SIGNS)).casefold())
    letters = (_digit(letter) for letter in decomposed if not unicodedata.combining(letter))
    plain = NO_PART.sub(" ", APOSTROPHES.sub("", "".join(letters)).translate(ALIKE))
    return " ".join(word for part in plain.split() if (word := part.strip(".+@")))


def _digit(letter: str) -> str:
    return str(unicodedata.decimal(letter)) if letter.isdecimal() else letter


def _latin_number(word: str) -> str:
    """A word with digits, or of two alphabets, is a number or a code: its letters are what they look like."""
    mixed = not word.isascii() and any(letter.isascii() and letter.isalnum() for letter in word)
    return _looks(word) if mixed else word


def _looks(word: str) -> str:
    return word.translate(CYRILLIC_ALIKE).translate(GREEK_ALIKE)


def stored(parts: Iterable[str | None], numbers: Iterable[str | None] = (), phones: Iterable[str | None] = ()) -> str:
    """The text that is kept for an object: `numbers` also without what parts them, `phones` as their digits."""
    words = [fold(part) for part in parts if part]
    for number in filter(None, numbers):
        folded = fold(number)
        words += [folded, folded.replace(" ", "")]
    words += [re.sub(r"\D", "", phone) for phone in phones if phone]
    return " ".join(dict.fromkeys(word for part in words for word in part.split()))


@lru_cache(maxsize=256)
def asked(raw: str, region: str) -> tuple[frozenset[str], ...]:
    """The words of a search, each with all that may be meant by it. `region` reads phone numbers (ISO 3166)."""
    wanted: list[frozenset[str]] = []

    def take_phone(found: re.Match[str]) -> str:
        digits = re.sub(r"\D", "", found[0])
        known = normalise_phone(found[0], region)
        # A local number begins with 0 where the international one has the country's code.
        # So it does with 8 in some countries.
        meant = {digits, digits.lstrip("0"), known.lstrip("+") if known else digits}
        if len(digits) == LOCAL_WITH_8 and digits[0] == "8":
            meant.add(digits[1:])
        wanted.append(frozenset(filter(None, meant)))
        return " "

    plain = NUMBERED.sub("", unicodedata.normalize("NFKC", raw.translate(SIGNS)).casefold())
    rest = PHONE.sub(take_phone, plain)
    wanted += [_meant(word) for word in fold(rest).split()]
    return tuple(dict.fromkeys(wanted))[:MOST_WORDS]


def _meant(word: str) -> frozenset[str]:
    """A word of another alphabet may be a number whose letters look like ours."""
    looks = _looks(word)
    return frozenset({word, looks} if looks.isascii() else {word})


class Searched:
    """A row for each object that can be searched for: a mixin of a service's own table `searched`."""

    __tablename__ = "searched"
    __table_args__ = (Index("ix_searched_grams", text("footlights_grams(text)"), postgresql_using="gin"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    text: Mapped[str]
    """From `stored`, with a blank before each word."""


GRAMS = """
    CREATE OR REPLACE FUNCTION footlights_grams(text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT coalesce(array_agg(DISTINCT substr($1, i, 3)), '{}')
            FROM generate_series(1, length($1) - 2) AS i)
"""


def create_table(op: Executes, service: str) -> None:
    """For a migration: the table, its index, and who may see its rows."""
    op.execute(GRAMS)
    key = "CONSTRAINT pk_searched PRIMARY KEY"
    op.execute(f"CREATE TABLE searched (id uuid {key}, organisation uuid NOT NULL, text text NOT NULL)")
    op.execute("CREATE INDEX ix_searched_grams ON searched USING gin (footlights_grams(text))")
    protect(op, "searched", service=service)


async def keep(session: AsyncSession, table: type[Searched], organisation: UUID, ident: UUID, words: str) -> None:
    """Keeps the text of an object; the same text again changes nothing."""
    row = insert(table).values(id=ident, organisation=organisation, text=f" {words}")
    changed = row.on_conflict_do_update(
        index_elements=["id"], set_={"text": row.excluded.text}, where=table.text != row.excluded.text
    )
    await session.execute(changed)


def matches(table: type[Searched], organisation: UUID, search: str, region: str) -> Select[UUID]:
    """The ids of objects whose text has every word of a search. A search without any word finds nothing."""
    words = asked(search, region)
    where = [and_(*(_has(table, word) for word in words)) if words else false()]
    return select(table.id).where(table.organisation == organisation, *where)


def _has(table: type[Searched], meant: Iterable[str]) -> ColumnElement[bool]:
    return or_(*(_has_word(table, word) for word in sorted(meant)))


def _has_word(table: type[Searched], word: str) -> ColumnElement[bool]:
    part = word if len(word) >= GRAM else f" {word}"
    grams = [part[i : i + GRAM] for i in range(len(part) - GRAM + 1)]
    known = func.footlights_grams(table.text).op("@>")(grams) if grams else true()
    return and_(known, table.text.like(like(part)))
