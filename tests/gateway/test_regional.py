"""Settings of an organisation are those that all services know, and can be corrected."""

from __future__ import annotations

import pytest

from contracts.accounts import Role
from contracts.money import KNOWN, Money, minor_digits
from services.gateway import regional
from services.gateway.errors import SettingRefused
from tests.gateway.conftest import Gateway


@pytest.mark.parametrize(
    ("setting", "wrong", "meant"),
    [
        ("time_zone", "Europe/Kyjiv", "Europe/Kyiv"),
        ("time_zone", "europe/warsaw", "Europe/Warsaw"),
        ("phone_region", "Ukraine", "UA"),
        ("phone_region", "pl", "PL"),
        ("locale", "ua", "uk"),
        ("locale", "UK", "uk"),
        ("currency", "uah", "UAH"),
        ("currency", "GRN", None),
        ("currency", "ABC", None),
        ("staff_email", "not an address", None),
    ],
)
def test_what_nobody_knows_is_refused_with_what_is_meant(setting: str, wrong: str, meant: str | None) -> None:
    with pytest.raises(SettingRefused) as refused:
        regional.check({setting: wrong})
    said = str(refused.value)
    assert said.startswith(f"{setting}: {wrong!r} is not")
    assert "\n" not in said
    assert meant is None or f"did you mean {meant}?" in said


def test_what_is_known_is_taken() -> None:
    regional.check({"time_zone": "Europe/Kyiv", "phone_region": "UA", "locale": "uk", "currency": "UAH"})
    regional.check({"time_zone": None, "name": "Anything"})


def test_minor_units_are_those_of_iso_4217() -> None:
    for code, digits in (
        ("RSD", 2),
        ("ALL", 2),
        ("LAK", 2),
        ("MMK", 2),
        ("IRR", 2),
        ("LBP", 2),
        ("MGA", 2),
        ("IQD", 3),
    ):
        assert minor_digits(code) == digits
    assert "UAH" in KNOWN
    assert Money(minor=1, currency="ABC"), "an event may know a currency that has ended"


async def test_a_head_corrects_the_settings(gateway: Gateway) -> None:
    head = await gateway.signed_in("settings@theatre.example", roles={"theatre": [Role.PROJECT_HEAD]})
    _, before = await head.ask("GET", "/organisation")
    for version in range(1, 200):
        wanted = {"time_zone": before["time_zone"], "phone_region": "PL"}
        status, answer = await head.ask("PATCH", "/organisation", json=wanted, headers={"If-Match": f'"v{version}"'})
        if status != 412:
            break
    assert (status, answer["phone_region"]) == (200, "PL")
    wrong = await head.ask(
        "PATCH", "/organisation", json={"time_zone": "Kyjiv"}, headers={"If-Match": f'"v{version + 1}"'}
    )
    assert (wrong[0], wrong[1]["type"]) == (422, "/problems/invalid")
    again = await head.ask(
        "PATCH", "/organisation", json={"phone_region": "UA"}, headers={"If-Match": f'"v{version + 1}"'}
    )
    assert again[0] == 200
