"""The one place where contact data are brought to a comparable form (CUS-3, CUS-12)."""

from __future__ import annotations

import idna
import phonenumbers
from email_validator import EmailNotValidError, validate_email


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
    """E.164, reading a number without a country code as one of `region` (ISO 3166); `None` if it is no valid number."""
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
