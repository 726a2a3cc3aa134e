"""Other sites' pages change nothing here, whether or not their visitor is signed in."""

from __future__ import annotations

import pytest

from tests.gateway.conftest import Gateway, Serve

HOLD = "/api/ticketing/shows/00000000-0000-0000-0000-000000000001/holds"
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", [HOLD, "/auth/sign-in", "/auth/register"])
async def test_pages_of_other_sites_change_nothing_without_a_cookie_either(
    gateway: Gateway, path: str, headers: dict[str, str]
) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        status, problem = await gateway.ask(method, path, headers={**headers, "Content-Type": "text/plain"}, data="{}")
        assert (status, problem["type"]) == (403, "/problems/csrf"), method
    assert (await gateway.ask("GET", HOLD, headers=headers))[0] == 200


async def test_our_pages_and_programs_do(serve_gateway: Serve) -> None:
    async with serve_gateway(allowed_origins="https://shop.example") as gateway:
        for headers in (
            {},
            {"Sec-Fetch-Site": "none"},
            {"Sec-Fetch-Site": "same-origin"},
            {"Origin": gateway.url, "Sec-Fetch-Site": "same-origin"},
            {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"},
        ):
            assert (await gateway.ask("POST", HOLD, headers=headers, json={}))[0] == 200, headers
        webhook = {"Origin": "https://provider.example"}
        assert (await gateway.ask("POST", "/api/orders/webhooks/stripe", headers=webhook, data="x"))[0] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_our_own_routes_take_json_only(gateway: Gateway, kind: str) -> None:
    body = '{"email": "a@example.com", "password": "whatever it is"}'
    status, problem = await gateway.ask("POST", "/auth/sign-in", headers={"Content-Type": kind}, data=body)
    assert (status, problem["type"]) == (415, "/problems/json-needed")
