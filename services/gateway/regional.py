"""What an organisation can be set to: zones, regions, languages and currencies that all services know.

A setting that nobody knows would show only later, on tickets and in letters; so it is refused with what may be meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated, Any
from zoneinfo import available_timezones

import phonenumbers
from babel import Locale as Language
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from chassis.people import normalise_email
from chassis.texts import ONE_LINE
from contracts.money import KNOWN
from services.gateway.errors import SettingRefused

LOCALES = ("en", "uk", "pl", "ru")
COUNTRIES = {"UA": "uk", "GB": "en", "US": "en", "PL": "pl", "RU": "ru"}
"""Codes of countries that are taken for those of their languages."""


def _one_of(value: str, known: Iterable[str], what: str, meant: str | None = None) -> str:
    if value in (choices := sorted(known)):
        return value
    if meant is None:
        close = difflib.get_close_matches(value.casefold(), [choice.casefold() for choice in choices], 1, 0.6)
        meant = next((choice for choice in choices if [choice.casefold()] == close), None)
    raise ValueError(f"{value!r} is not {what}" + (f"; did you mean {meant}?" if meant else ""))


def _time_zone(value: str) -> str:
    return _one_of(value, available_timezones(), "a time zone of IANA, such as Europe/Kyiv")


def _region(value: str) -> str:
    names = {name.casefold(): code for code, name in Language("en").territories.items()}
    meant = names.get(value.casefold(), value.upper())
    known = phonenumbers.SUPPORTED_REGIONS
    return _one_of(value, known, "a country's code of ISO 3166, such as UA", meant if meant in known else None)


def _locale(value: str) -> str:
    return _one_of(value, LOCALES, f"one of the languages {', '.join(LOCALES)}", COUNTRIES.get(value.upper()))


def _currency(value: str) -> str:
    return _one_of(value, KNOWN, "a currency's code of ISO 4217, such as UAH")


def _mailbox(value: str) -> str:
    if normalise_email(value) is None:
        raise ValueError(f"{value!r} is not an e-mail address")
    return value


TimeZone = Annotated[str, ONE_LINE, AfterValidator(_time_zone)]
Region = Annotated[str, ONE_LINE, AfterValidator(_region)]
Locale = Annotated[str, ONE_LINE, AfterValidator(_locale)]
Currency = Annotated[str, ONE_LINE, AfterValidator(_currency)]


class Settings(BaseModel):
    """Those that are checked; what is left out is not set."""

    model_config = ConfigDict(extra="ignore")

    time_zone: TimeZone | None = None
    phone_region: Region | None = None
    locale: Locale | None = None
    currency: Currency | None = None
    staff_email: Annotated[str, AfterValidator(_mailbox)] | None = None


def check(settings: dict[str, Any]) -> None:
    """Raises `SettingRefused`, which says in one line what is wrong and what may be meant."""
    try:
        Settings.model_validate(settings)
    except ValidationError as error:
        wrong = [f"{fault['loc'][0]}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()]
        raise SettingRefused("; ".join(wrong)) from None
