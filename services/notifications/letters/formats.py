"""How one language writes money, moments and numbers of things. Babel knows the rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_datetime
from babel.numbers import format_currency, get_currency_precision


def zone(name: str) -> tzinfo:
    """The IANA zone, or UTC for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


class Formats:
    """Formats for one language and time zone."""

    def __init__(self, language: str, time_zone: str) -> None:
        self._locale = Locale.parse(language)
        self._zone = zone(time_zone)

    def when(self, moment: str | datetime) -> str:
        """Weekday, date and time in the organisation's zone; UTC is named, for it is nobody's wall clock."""
        value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        text = format_datetime(value, "EEEE, d MMMM y, HH:mm", tzinfo=self._zone, locale=self._locale)
        return f"{text} UTC" if str(self._zone) == "UTC" else text

    def money(self, amount: Mapping[str, object]) -> str:
        """`{"minor": 12500, "currency": "UAH"}` as people of this language write it."""
        currency = str(amount["currency"])
        value = Decimal(int(str(amount["minor"]))).scaleb(-get_currency_precision(currency))
        return str(format_currency(value, currency, locale=self._locale))

    def plural(self, number: int, *, other: str, one: str = "", few: str = "", many: str = "") -> str:
        """The form of a word that goes with `number`: Ukrainian 21 is `one`, Polish 21 is `many`."""
        forms = {"one": one, "few": few, "many": many}
        return forms.get(self._locale.plural_form(number)) or other
