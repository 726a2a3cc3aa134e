"""Renders one message as plain text, HTML and SMS from one template per language.

The words stand in `templates/<language>/<template>.j2` as blocks; `templates/html` and `templates/plain` hold the
shared layout of either form. Everything that comes from people is escaped in HTML, a missing value is an error, and
only http(s) addresses become links.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from services.notifications.letters.formats import Formats

LANGUAGES = ("en", "uk", "pl", "ru")

_FOLDER = Path(__file__).parent / "templates"
_CELL = "padding:2px 16px 2px 0;vertical-align:top;text-align:left"
_BUTTON = "display:inline-block;padding:10px 18px;background:#8a2b2b;color:#fff;border-radius:6px;text-decoration:none"


class Template(StrEnum):
    """Every message that is sent by itself or by staff."""

    TICKETS_ISSUED = "tickets_issued"
    SHOW_REMINDER = "show_reminder"
    ORDER_PLACED = "order_placed"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_REFUNDED = "order_refunded"
    ORDER_DATA = "order_data"
    INVOICE_ORDERED = "invoice_ordered"
    REFUND_DUE = "refund_due"
    COURSE_ACCESS = "course_access"
    OPEN_ACCOUNT = "open_account"
    SIGN_IN = "sign_in"


@dataclass(frozen=True, slots=True)
class Setting:
    """Who writes, to whom, in which language, and on whose clock."""

    organisation: str
    time_zone: str
    language: str
    name: str = ""
    """Of the recipient; may be empty."""
    address: str = ""
    """E-mail or phone of the recipient."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One rendered e-mail. `filename` names its attachment where the template has one."""

    subject: str
    plain: str
    html: str
    filename: str | None


def language_of(locale: str | None) -> str:
    """The language of messages for a locale such as `uk-UA`; English where we have no words."""
    language = re.split("[-_]", locale or "")[0].lower()
    return language if language in LANGUAGES else "en"


def write(template: str, setting: Setting, params: Mapping[str, Any]) -> Letter:
    """Renders an e-mail. Raises `jinja2.UndefinedError` when `params` lacks what the template needs."""
    subject = _block("subject", template, setting, params) or ""
    values = _values(setting, params) | {"subject": subject}
    path = f"{setting.language}/{template}.j2"
    plain = _environment("plain").get_template(path).render(values)
    html = _environment("html").get_template(path).render(values)
    return Letter(subject, _tidy(plain), html, _block("filename", template, setting, params))


def short_text(template: str, setting: Setting, params: Mapping[str, Any]) -> str:
    """Renders an SMS: one line."""
    return _block("sms", template, setting, params) or ""


def _block(name: str, template: str, setting: Setting, params: Mapping[str, Any]) -> str | None:
    found = _environment("plain").get_template(f"{setting.language}/{template}.j2")
    block = found.blocks.get(name)
    if block is None:
        return None
    return _one_line("".join(block(found.new_context(_values(setting, params)))))


def _values(setting: Setting, params: Mapping[str, Any]) -> dict[str, Any]:
    formats = Formats(setting.language, setting.time_zone)
    return {
        **params,
        "organisation": setting.organisation,
        "locale": setting.language,
        "name": setting.name,
        "address": setting.address,
        "when": formats.when,
        "money": formats.money,
        "plural": formats.plural,
    }


@cache
def _environment(form: Literal["plain", "html"]) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(_FOLDER / form), FileSystemLoader(_FOLDER)]),
        autoescape=form == "html",  # noqa: S701 - plain text is not markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers: dict[str, Callable[..., str]] = _HTML if form == "html" else _PLAIN
    environment.globals.update(fact=helpers["fact"], button=helpers["button"])
    environment.filters.update(paragraphs=helpers["paragraphs"], listed=_listed)
    return environment


def _listed(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _plain_paragraphs(text: str) -> str:
    return "\n\n".join(_one_line(part) for part in re.split(r"\n\s*\n", text.strip()))


def _html_paragraphs(text: str) -> Markup:
    # The text is the output of an autoescaped template, so it is markup already.
    parts = [_one_line(part) for part in re.split(r"\n\s*\n", text.strip())]
    return Markup("\n").join(
        Markup('<p style="margin:0 0 16px">') + Markup(part) + Markup("</p>")  # noqa: S704
        for part in parts
        if part
    )


def _html_fact(label: str, value: object) -> Markup:
    return Markup('<tr><th style="{0};font-weight:400;color:#6d685f">{1}</th><td style="{0}">{2}</td></tr>').format(
        _CELL, label, value
    )


def _html_button(label: str, url: str) -> Markup:
    return Markup('<p style="margin:0 0 16px"><a href="{}" style="{}">{}</a></p>').format(_link(url), _BUTTON, label)


def _link(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("a link in a message must be an http address")
    return url


def _one_line(value: object) -> str:
    return re.sub(r"[ \t\r\n]+", " ", str(value)).strip()


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


_HTML: dict[str, Callable[..., str]] = {
    "fact": _html_fact,
    "button": _html_button,
    "paragraphs": _html_paragraphs,
}
_PLAIN: dict[str, Callable[..., str]] = {
    "fact": lambda label, value: f"{_one_line(label)}: {_one_line(value)}",
    "button": lambda label, url: f"{_one_line(label)}: {_link(url)}",
    "paragraphs": _plain_paragraphs,
}
