"""Production takes no setting by which mails are lost."""

from __future__ import annotations

from typing import Any

import pytest

from services.notifications.settings import Settings

REAL: dict[str, Any] = {
    "footlights_env": "production",
    "link_secret": "s" * 32,
    "erasure_key": "e" * 32,
    "letter_secret": "l" * 32,
    "smtp_url": "smtps://anna:secret@mail.theatre.org",
    "mail_from": "Theatre <tickets@theatre.org>",
    "public_url": "https://tickets.theatre.org",
}


def test_production_takes_what_leads_to_people() -> None:
    assert Settings(**REAL).sender == "tickets@theatre.org"
    inside = {"smtp_url": "smtp://postfix.mail.svc.cluster.local:25", "mail_from": "tickets@театр.укр"}
    assert Settings(**{**REAL, **inside}).footlights_env == "production"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp_url", "smtp://127.0.0.1:25"),
        ("smtp_url", "smtp://127.8.8.8:25"),
        ("smtp_url", "smtp://localhost."),
        ("smtp_url", "smtps://u:p@[::1]:465"),
        ("smtp_url", "smtp://0.0.0.0:25"),
        ("smtp_url", "smtp://mail.example.com"),
        ("mail_from", "Footlights <tickets@footlights.example>"),
        ("mail_from", "tickets@EXAMPLE.org"),
        ("mail_from", "tickets@theatre.test"),
        ("public_url", "http://127.0.0.1:8000"),
        ("public_url", "https://tickets.theatre.example"),
    ],
)
def test_production_refuses_what_loses_mail(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"refused in production: {name.upper()}"):
        Settings(**{**REAL, name: value})
    assert Settings(**{**REAL, name: value, "footlights_env": "development"})
