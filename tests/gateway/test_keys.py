"""API keys of programs, and protection of cookie sessions against other sites' pages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from contracts.accounts import Role
from services.gateway.models import ApiKey
from tests.gateway.conftest import PASSWORD, Browser, Gateway, claims_told

DESK = {"theatre": [Role.TICKET_DESK, Role.ORGANIZER]}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def key_of(browser: Browser, **more: object) -> dict[str, str]:
    status, made = await browser.ask("POST", "/auth/api-keys", json={"name": "till"} | more)
    assert status == 201, made
    return made


async def test_a_program_acts_with_its_key(gateway: Gateway) -> None:
    browser = await gateway.signed_in("key@theatre.example", roles=DESK)
    made = await key_of(browser, roles=["ticket_desk"])
    assert made["key"].startswith("flk_")
    status, me = await gateway.ask("GET", "/auth/me", headers=bearer(made["key"]))
    assert (status, me["roles"], me["csrf_token"]) == (200, ["ticket_desk"], None)
    _, told = await gateway.ask("POST", "/api/orders/x", headers=bearer(made["key"]))
    passed_on = dict(told["headers"])["authorization"]
    assert made["key"] not in str(told)
    assert passed_on.startswith("Bearer ey")
    _, listed = await browser.ask("GET", "/auth/api-keys")
    assert "key" not in listed["items"][0]
    assert made["key"].startswith(listed["items"][0]["hint"])
    assert listed["items"][0]["used_at"] is not None


async def test_a_key_ends_by_revocation_at_once_and_by_its_date(gateway: Gateway) -> None:
    browser = await gateway.signed_in("revoke@theatre.example", roles=DESK)
    made, late = await key_of(browser), await key_of(browser)
    assert (await gateway.ask("GET", "/auth/me", headers=bearer(made["key"])))[0] == 200
    stranger = await gateway.signed_in("revoking@example.com")
    assert (await stranger.ask("DELETE", f"/auth/api-keys/{made['id']}"))[0] == 404
    assert (await browser.ask("DELETE", f"/auth/api-keys/{made['id']}"))[0] == 204
    status, problem = await gateway.ask("GET", "/auth/me", headers=bearer(made["key"]))
    assert (status, problem["type"]) == (401, "/problems/bad-credentials")
    async with gateway.app.state.db.as_worker() as session:
        change = update(ApiKey).where(ApiKey.id == late["id"])
        await session.execute(change.values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert (await gateway.ask("GET", "/auth/me", headers=bearer(late["key"])))[0] == 401


async def test_a_new_password_ends_every_key(gateway: Gateway) -> None:
    browser = await gateway.signed_in("stolen-session@example.com")
    key = bearer((await key_of(browser))["key"])
    assert (await gateway.ask("GET", "/auth/me", headers=key))[0] == 200
    changed = {"current": PASSWORD, "new": "another password"}
    assert (await browser.ask("POST", "/auth/password", json=changed))[0] == 204
    assert (await gateway.ask("GET", "/auth/me", headers=key))[0] == 401
    assert (await browser.ask("GET", "/auth/api-keys"))[1]["items"] == []


async def test_a_key_has_no_more_roles_than_its_maker(gateway: Gateway) -> None:
    browser = await gateway.signed_in("greedy@theatre.example", roles={"theatre": [Role.TICKET_DESK]})
    status, _ = await browser.ask("POST", "/auth/api-keys", json={"name": "k", "roles": ["project_head"]})
    assert status == 403
    made = await key_of(browser)
    head = await gateway.signed_in("taking@theatre.example", roles={"theatre": [Role.PROJECT_HEAD]})
    _, me = await browser.ask("GET", "/auth/me")
    path = f"/accounts/{me['account']['id']}/roles"
    seen = {"If-Match": '"v1"'}
    assert (await head.ask("PUT", path, json={"roles": ["storekeeper"]}, headers=seen))[0] == 200
    _, me = await gateway.ask("GET", "/auth/me", headers=bearer(made["key"]))
    assert me["roles"] == [], "a role that its maker lost, the key lost too"
    assert (await gateway.ask("GET", "/auth/me", headers=bearer(made["key"]) | {"X-Organisation": "school"}))[0] == 403


async def test_a_key_makes_no_keys_and_changes_no_password(gateway: Gateway) -> None:
    browser = await gateway.signed_in("chain@theatre.example", roles=DESK)
    headers = bearer((await key_of(browser))["key"])
    change = {"current": "x", "new": "long enough"}
    for path, body in (("/auth/api-keys", {"name": "k"}), ("/auth/password", change), ("/auth/sign-out", None)):
        status, problem = await gateway.ask("POST", path, json=body, headers=headers)
        assert (status, problem["type"]) == (403, "/problems/session-needed")


@pytest.mark.parametrize(
    "authorization",
    ["Bearer flk_unknown", "Bearer ey.a.b", "Basic dTpw", "Bearer", "flk_x", "Bearer flk_" + "x" * 300],
)
async def test_other_credentials_are_refused_and_not_passed_on(gateway: Gateway, authorization: str) -> None:
    status, problem = await gateway.ask("GET", "/api/orders/x", headers={"Authorization": authorization})
    assert (status, problem["type"]) == (401, "/problems/bad-credentials")


async def test_many_requests_look_up_a_fresh_key_once(gateway: Gateway) -> None:
    browser = await gateway.signed_in("burst@theatre.example", roles=DESK)
    made = await key_of(browser)
    told = await asyncio.gather(*(gateway.ask("GET", "/api/orders/x", headers=bearer(made["key"])) for _ in range(30)))
    assert len({dict(body["headers"])["authorization"] for _, body in told}) == 1
    async with gateway.app.state.db.as_worker() as session:
        used = await session.scalar(select(ApiKey.used_at).where(ApiKey.id == made["id"]))
    assert used is not None


async def test_an_unsafe_request_with_a_cookie_needs_the_csrf_token(gateway: Gateway) -> None:
    browser = await gateway.signed_in("csrf@example.com")
    other = await gateway.signed_in("csrf-other@example.com")
    csrf, browser.csrf = browser.csrf or "", None
    for sent in (None, "", "wrong", csrf[:-1], other.csrf, "ü"):
        headers = {} if sent is None else {"X-CSRF-Token": sent}
        for path in ("/api/orders/x", "/auth/sign-out"):
            status, problem = await browser.ask("POST", path, headers=headers)
            assert (status, problem["type"]) == (403, "/problems/csrf"), sent
    assert (await browser.ask("GET", "/api/orders/x"))[0] == 200, "reading needs none"
    assert (await browser.ask("POST", "/api/orders/x", headers={"X-CSRF-Token": csrf}))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_a_page_of_another_site_is_refused(gateway: Gateway, headers: dict[str, str]) -> None:
    browser = await gateway.signed_in(f"origin-{uuid4().hex}@example.com")
    status, problem = await browser.ask("POST", "/api/orders/x", headers=headers)
    assert (status, problem["type"]) == (403, "/problems/csrf")
    given = {"email": "x@example.com", "password": "y"}
    assert (await gateway.ask("POST", "/auth/sign-in", json=given, headers=headers))[0] == 403, "sign-in of a stranger"


async def test_our_own_page_is_let_through(gateway: Gateway) -> None:
    browser = await gateway.signed_in("own-page@example.com")
    for origin in (gateway.url, "http://127.0.0.1:8000"):
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        assert (await browser.ask("POST", "/api/orders/x", headers=headers))[0] == 200


async def test_a_stale_cookie_is_nobody(gateway: Gateway) -> None:
    status, told = await gateway.ask("POST", "/api/orders/x", headers={"Cookie": "footlights_session=stale"})
    assert status == 200
    assert "sub" not in claims_told(told)
    assert (await gateway.ask("GET", "/auth/me", headers={"Cookie": "footlights_session=stale"}))[0] == 401
