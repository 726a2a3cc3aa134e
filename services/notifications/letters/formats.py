"""How one language writes money, moments and numbers of things. Babel knows the rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from babel import Locale

from chassis import money, wall_clock
from contracts.money import Money


class Formats:
    """Formats for one language and time zone."""

    def __init__(self, language: str, time_zone: str) -> None:
        self._language = language
        self._time_zone = time_zone
        self._locale = Locale.parse(language)

    def when(self, moment: str | datetime) -> str:
        """Weekday, date and time in the organisation's zone."""
        value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return wall_clock.show(value, self._time_zone, self._language)

    def money(self, amount: Mapping[str, object]) -> str:
        """`{"minor": 12500, "currency": "UAH"}` as people of this language write it."""
        value = Money(minor=int(str(amount["minor"])), currency=str(amount["currency"]))
        return money.show(value, self._language)

    def plural(self, number: int, *, other: str, one: str = "", few: str = "", many: str = "") -> str:
        """The form of a word that goes with `number`: Ukrainian 21 is `one`, Polish 21 is `many`."""
        forms = {"one": one, "few": few, "many": many}
        return forms.get(self._locale.plural_form(number)) or other
