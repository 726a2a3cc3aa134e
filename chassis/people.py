"""The one place where contact data are brought to a comparable form (CUS-3, CUS-12)."""

from __future__ import annotations

import idna
import phonenumbers
from email_validator import EmailNotValidError, validate_email

ANYWHERE = "ZZ"
"""No country: numbers must name theirs."""


def normalise_email(raw: str) -> str | None:
    """The address as it is compared and written to, in lower case; `None` if it is none."""
    try:
        checked = validate_email(raw.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return checked.normalized.lower()


def mailable(address: str) -> str:
    """The address as every mail server takes it: a domain of other letters in punycode (IDNA 2008).

    Only letters before the @ need a server with SMTPUTF8. Raises `ValueError` for a domain that cannot be written so.
    """
    local, at, domain = address.rpartition("@")
    if domain.isascii():
        return address
    return local + at + idna.encode(domain, uts46=True).decode()


def normalise_phone(raw: str, region: str) -> str | None:
    """E.164, reading a number without a country code as one of `region` (ISO 3166); `None` if it is no valid number.

    An extension is left out: it is no part of what can be dialled, or told apart by.
    """
    number = _parse(raw, region)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if number else None


def phone_to_keep(raw: str, region: str) -> str:
    """The same of a number that a person gives us to reach them by. Raises `ValueError` that says what to do, also for
    an extension: we could not dial it."""
    number = _parse(raw, region)
    if number is None:
        where = "" if region == ANYWHERE else f" in {region}"
        raise ValueError(f"is not valid{where}: write it with its country, such as +380671112233")
    if number.extension:
        raise ValueError("has an extension, which cannot be kept: give a number that reaches the person directly")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _parse(raw: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None
