"""Registration, signing in and out, cookies, sessions and the roles that staff are given."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from sqlalchemy import select, text, update

from contracts.accounts import Role
from services.gateway import accounts, passwords
from services.gateway.errors import OrganisationExists
from services.gateway.models import Account, SignInSession
from tests.gateway.conftest import PASSWORD, Gateway, Serve, claims_told
from tests.harness import TokenMint


async def test_cookie_flags(gateway: Gateway, serve_gateway: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    # The database of the tests has development passwords, which production refuses.
    monkeypatch.setattr("chassis.settings.DEVELOPMENT", "nothing says this of itself")
    await gateway.account("cookie@example.com")
    given = {"email": "cookie@example.com", "password": PASSWORD}
    async with gateway.client.post(gateway.url + "/auth/sign-in", json=given) as answer:
        flags = {part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")}
        assert {"httponly", "samesite=lax", "path=/"} <= flags
        assert "secure" not in flags
        assert answer.headers["Cache-Control"] == "no-store"

    async with (
        serve_gateway(
            gateway.app.state.urls,
            footlights_env="production",
            token_signing_key=TokenMint().pem,
            link_secret="a secret of production, long enough to be one",
            letter_secret="another of these, and long enough to be one",
            erasure_key="another secret of production, as long",
        ) as production,
        gateway.client.post(production.url + "/auth/sign-in", json=given) as answer,
    ):
        assert answer.status == 200
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-footlights=")
        assert "secure" in cookie.lower()
        assert "strict-transport-security" in answer.headers


async def test_sign_in_does_not_say_what_was_wrong(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    await gateway.account("known@example.com")
    checked: list[str] = []
    verify = passwords._verify

    def noting(stored: str, password: str) -> bool:
        checked.append(stored)
        return verify(stored, password)

    monkeypatch.setattr(passwords, "_verify", noting)
    answers = [
        await gateway.ask("POST", "/auth/sign-in", json={"email": email, "password": "wrong one"})
        for email in ("known@example.com", "unknown@example.com")
    ]
    assert answers[0][0] == answers[1][0] == 401
    for answer in answers:
        answer[1].pop("request_id")
    assert answers[0] == answers[1]
    assert len(checked) == 2, "a hash was computed for both: neither is answered sooner"
    assert all(stored.startswith("$argon2id$") for stored in checked)


async def test_each_sign_in_is_told(
    serve_gateway: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_gateway(sign_in_failures=2) as gateway:
        known = (await gateway.account("told@example.com")).id
        logger = logging.getLogger("services.gateway.asking")
        monkeypatch.setattr(logger, "handlers", [caplog.handler])  # a service that starts has taken the root's away
        with caplog.at_level(logging.INFO, logger=logger.name):
            for password in ("wrong one", PASSWORD):
                await gateway.browser().sign_in("told@example.com", password)
            for _ in range(3):
                await gateway.browser().sign_in("nobody@example.com", "wrong one")
            browser = gateway.browser()
            await browser.ask("POST", "/auth/letters", json={"email": "told@example.com"})
            token = await gateway.letter_to("told@example.com")
            assert (await browser.ask("POST", "/auth/letters/use", json={"token": token}))[0] == 200
    lines = [one.msg for one in caplog.records if isinstance(one.msg, dict) and one.msg["event"] == "sign-in"]
    assert [(one["outcome"], one["by"], one["account_id"]) for one in lines] == [
        ("refused", "password", str(known)),
        ("ok", "password", str(known)),
        ("refused", "password", None),
        ("refused", "password", None),
        ("too many", "password", None),
        ("ok", "letter", str(known)),
    ]
    assert {one["network"] for one in lines} == {"127.0.0.1"}
    for secret in ("wrong one", PASSWORD, "nobody@", "told@"):
        assert secret not in str(lines)


async def test_sign_out_ends_the_session_at_once(gateway: Gateway) -> None:
    browser = await gateway.signed_in("out@example.com")
    cookie = browser.cookie
    assert (await browser.ask("GET", "/auth/me"))[0] == 200
    assert (await browser.ask("POST", "/auth/sign-out"))[0] == 204
    assert browser.cookie is None
    assert (await gateway.ask("GET", "/auth/me", headers={"Cookie": cookie}))[0] == 401


async def test_a_session_ends_when_it_is_not_used_and_lives_on_when_it_is(gateway: Gateway) -> None:
    browser = await gateway.signed_in("idle@example.com")
    account_id = (await browser.ask("GET", "/auth/me"))[1]["account"]["id"]

    async def expire_at(moment: datetime) -> None:
        async with gateway.app.state.db.as_worker() as session:
            change = update(SignInSession).where(SignInSession.account_id == account_id)
            await session.execute(change.values(expires_at=moment))
        gateway.app.state.identities._known.clear()

    now = datetime.now(UTC)
    await expire_at(now + timedelta(minutes=1))
    _, listed = await browser.ask("GET", "/auth/sessions")
    assert datetime.fromisoformat(listed["items"][0]["expires_at"]) > now + timedelta(hours=11)
    await expire_at(now - timedelta(seconds=1))
    assert (await browser.ask("GET", "/auth/me"))[0] == 401
    assert (await browser.ask("GET", "/api/ticketing/shows"))[0] == 200, "what anybody may do still works"


async def test_sessions_are_listed_and_ended(gateway: Gateway) -> None:
    first = await gateway.signed_in("two@example.com")
    second = gateway.browser()
    await second.sign_in("two@example.com")
    _, listed = await first.ask("GET", "/auth/sessions")
    other = next(one for one in listed["items"] if not one["current"])
    assert len(listed["items"]) == 2
    assert (await first.ask("DELETE", f"/auth/sessions/{other['id']}"))[0] == 204
    assert (await second.ask("GET", "/auth/me"))[0] == 401
    assert (await first.ask("GET", "/auth/me"))[0] == 200
    stranger = await gateway.signed_in("stranger@example.com")
    own = listed["items"][0]["id"], listed["items"][1]["id"]
    for session_id in own:
        assert (await stranger.ask("DELETE", f"/auth/sessions/{session_id}"))[0] == 404


async def test_a_token_says_who_and_where(gateway: Gateway) -> None:
    account = await gateway.account("claims@theatre.example", roles={"theatre": [Role.TICKET_DESK, Role.ORGANIZER]})
    browser = gateway.browser()
    await browser.sign_in("claims@theatre.example")
    _, told = await browser.ask("GET", "/api/orders/x")
    bearer = dict(told["headers"])["authorization"].removeprefix("Bearer ")
    _, jwks = await gateway.ask("GET", "/.well-known/jwks.json")
    kid = jwt.get_unverified_header(bearer)["kid"]
    key = jwt.PyJWK(next(key for key in jwks["keys"] if key["kid"] == kid))
    claims = jwt.decode(bearer, key, algorithms=["EdDSA"], audience="footlights", issuer="footlights-gateway")
    theatre = await gateway.organisation("theatre")
    assert claims["sub"] == str(account.id)
    assert (claims["org"], claims["roles"]) == (str(theatre.id), ["organizer", "ticket_desk"])
    assert claims["exp"] - claims["iat"] == 300
    _, again = await browser.ask("GET", "/api/orders/x")
    assert dict(again["headers"])["authorization"].removeprefix("Bearer ") == bearer, "not signed again"


async def test_rows_of_another_organisation_are_invisible_without_any_filter(gateway: Gateway) -> None:
    await gateway.account("in@theatre.example", roles={"theatre": [Role.TICKET_DESK]})
    await gateway.account("in@school.example", roles={"school": [Role.SUPPORT]})
    school = await gateway.organisation("school")
    async with gateway.app.state.db.for_organisation(school.id) as session:
        emails = set(await session.scalars(select(Account.email)))
        assert "in@school.example" in emails
        assert "in@theatre.example" not in emails
        assert await session.scalar(text("SELECT count(*) FROM organisation")) == 1
    async with gateway.app.state.db.for_organisation(None) as session:
        for table in ("account", "membership", "organisation", "sign_in_session", "api_key"):
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table


async def test_secrets_are_not_in_the_database(gateway: Gateway) -> None:
    browser = await gateway.signed_in("secrets@example.com")
    _, made = await browser.ask("POST", "/auth/api-keys", json={"name": "till"})
    token = (browser.cookie or "").partition("=")[2]
    async with gateway.app.state.db.as_worker() as session:
        for table in ("account", "sign_in_session", "api_key", "outbox"):
            rows = "".join(map(str, await session.execute(text(f"SELECT {table}::text FROM {table}"))))
            for secret in (PASSWORD, token, made["key"]):
                assert secret not in rows


async def test_passwords_are_argon2id(gateway: Gateway) -> None:
    account = await gateway.account("argon@example.com")
    assert (account.password_hash or "").startswith("$argon2id$")


async def test_own_data_can_be_changed(gateway: Gateway) -> None:
    browser = await gateway.signed_in("rename@example.com")
    status, body = await browser.ask("PATCH", "/auth/me", json={"name": "Нове Ім'я", "phone": "+380671234567"})
    assert (status, body["name"]) == (200, "Нове Ім'я")
    _, told = await browser.ask("GET", "/api/orders/x")
    assert claims_told(told)["name"] == "Нове Ім'я"
    status, body = await browser.ask("PATCH", "/auth/me", json={"name": None, "phone": None})
    assert (status, body["name"], body["phone"]) == (200, "Нове Ім'я", None), "a phone can be removed, a name cannot"


async def test_changing_the_password_ends_other_sessions(gateway: Gateway) -> None:
    first = await gateway.signed_in("change@example.com")
    second = gateway.browser()
    await second.sign_in("change@example.com")
    wrong = {"current": "not it", "new": "another password"}
    assert (await first.ask("POST", "/auth/password", json=wrong))[0] == 401
    right = {"current": PASSWORD, "new": "another password"}
    assert (await first.ask("POST", "/auth/password", json=right))[0] == 204
    assert (await first.ask("GET", "/auth/me"))[0] == 200
    assert (await second.ask("GET", "/auth/me"))[0] == 401


async def test_the_command_line_functions_refuse_doubles(gateway: Gateway) -> None:
    await gateway.organisation("double")
    async with gateway.app.state.db.as_worker() as session:
        with pytest.raises(OrganisationExists):
            await accounts.create_organisation(session, slug="double", name="D", staff_email="d@example.com")
