"""Registration, signing in and out, cookies, sessions and the roles that staff are given."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from sqlalchemy import select, text, update

from contracts.accounts import Role
from services.gateway import accounts
from services.gateway.errors import OrganisationExists
from services.gateway.models import Account, SignInSession
from tests.gateway.conftest import PASSWORD, Gateway, Serve
from tests.harness import TokenMint

HEAD = {"theatre": [Role.PROJECT_HEAD]}


@pytest.mark.shows("ROL-1", "ROL-9")
async def test_a_buyer_registers_and_is_known(gateway: Gateway) -> None:
    browser = gateway.browser()
    new = {"email": " Taras@Example.COM", "password": PASSWORD, "name": "Тарас Шевченко", "locale": "uk"}
    status, body = await browser.ask("POST", "/auth/register", json=new)
    assert (status, body["account"]["name"]) == (201, "Тарас Шевченко")
    status, me = await browser.ask("GET", "/auth/me")
    assert status == 200
    assert (me["organisation"], me["roles"], me["memberships"]) == (None, [], [])
    assert me["csrf_token"] == body["csrf_token"]
    status, problem = await gateway.ask("POST", "/auth/register", json=new | {"email": "taras@example.com"})
    assert (status, problem["type"]) == (409, "/problems/account-exists")


@pytest.mark.parametrize(
    "change", [{"email": "no address"}, {"password": "short"}, {"name": " "}, {"name": "a\nb"}, {"roles": ["support"]}]
)
async def test_a_registration_must_make_sense(gateway: Gateway, change: dict[str, object]) -> None:
    new = {"email": "x@example.com", "password": PASSWORD, "name": "X"}
    status, problem = await gateway.ask("POST", "/auth/register", json=new | change)
    assert status == 422, problem


async def test_cookie_flags(gateway: Gateway, serve_gateway: Serve) -> None:
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
        ) as production,
        gateway.client.post(production.url + "/auth/sign-in", json=given) as answer,
    ):
        assert answer.status == 200
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-footlights=")
        assert "secure" in cookie.lower()
        assert "strict-transport-security" in answer.headers


async def test_sign_in_does_not_say_what_was_wrong(gateway: Gateway) -> None:
    await gateway.account("known@example.com")
    answers, seconds = [], []
    for email in ("known@example.com", "unknown@example.com"):
        started = time.perf_counter()
        answers.append(await gateway.ask("POST", "/auth/sign-in", json={"email": email, "password": "wrong one"}))
        seconds.append(time.perf_counter() - started)
    assert answers[0][0] == answers[1][0] == 401
    for answer in answers:
        answer[1].pop("request_id")
    assert answers[0] == answers[1]
    assert min(seconds) > 0.015, "both checked a hash"


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


async def test_guessing_passwords_is_stopped(serve_gateway: Serve) -> None:
    async with serve_gateway(sign_in_failures=3) as gateway:
        await gateway.account("target@example.com")
        statuses = []
        for _ in range(5):
            given = {"email": "Target@example.com", "password": "a guess"}
            async with gateway.client.post(gateway.url + "/auth/sign-in", json=given) as answer:
                statuses.append(answer.status)
                wait = answer.headers.get("Retry-After")
        assert statuses == [401, 401, 401, 429, 429]
        assert wait is not None
        assert int(wait) > 60
        assert (await gateway.browser().sign_in("target@example.com"))[0] == 429, "also with the right one"


async def test_right_passwords_are_not_counted(serve_gateway: Serve) -> None:
    async with serve_gateway(sign_in_failures=2) as gateway:
        await gateway.account("often@example.com")
        for _ in range(6):
            assert (await gateway.browser().sign_in("often@example.com"))[0] == 200


@pytest.mark.shows("ROL-12", "ROL-13", "ROL-15")
async def test_staff_get_a_one_time_password_and_must_change_it(gateway: Gateway) -> None:
    head = await gateway.signed_in("head@theatre.example", roles=HEAD)
    new = {"email": "manager@theatre.example", "name": "Ірина", "roles": ["sales_manager"]}
    status, made = await head.ask("POST", "/accounts", json=new)
    assert (status, made["roles"], made["invitation_code"]) == (201, ["sales_manager"], None)
    manager = gateway.browser()
    status, body = await manager.sign_in(new["email"], made["one_time_password"])
    assert (status, body["password_change_required"]) == (200, True)
    assert (await manager.ask("GET", "/auth/me"))[1]["roles"] == [], "nothing opens before the change"
    assert (await manager.ask("POST", "/auth/api-keys", json={"name": "k"}))[0] == 201
    changed = {"current": made["one_time_password"], "new": PASSWORD}
    assert (await manager.ask("POST", "/auth/password", json=changed))[0] == 204
    _, me = await manager.ask("GET", "/auth/me")
    assert (me["roles"], me["password_change_required"]) == (["sales_manager"], False)
    assert (await gateway.browser().sign_in(new["email"], made["one_time_password"]))[0] == 401
    assert new["email"] in [one["email"] for one in (await head.ask("GET", "/accounts"))[1]["items"]]


@pytest.mark.shows("ROL-13")
async def test_managers_cannot_make_accounts(gateway: Gateway) -> None:
    manager = await gateway.signed_in("no-head@theatre.example", roles={"theatre": [Role.SALES_MANAGER]})
    new = {"email": "friend@theatre.example", "name": "F", "roles": ["sales_manager"]}
    assert (await manager.ask("POST", "/accounts", json=new))[0] == 403
    assert (await manager.ask("GET", "/accounts"))[0] == 403


async def test_support_gives_no_leading_roles(gateway: Gateway) -> None:
    support = await gateway.signed_in("support@theatre.example", roles={"theatre": [Role.SUPPORT]})
    new = {"email": "boss@theatre.example", "name": "B", "roles": ["project_head"]}
    status, problem = await support.ask("POST", "/accounts", json=new)
    assert (status, problem["type"]) == (403, "/problems/roles-refused")
    head = await gateway.account("real-head@theatre.example", roles=HEAD)
    for method, path, body in (
        ("PUT", "roles", {"roles": ["ticket_desk"]}),
        ("POST", "one-time-password", None),
    ):
        assert (await support.ask(method, f"/accounts/{head.id}/{path}", json=body))[0] == 403
    assert (await support.ask("DELETE", f"/accounts/{head.id}"))[0] == 403


@pytest.mark.shows("ROL-13")
async def test_a_person_with_an_account_confirms_with_a_code(gateway: Gateway) -> None:
    head = await gateway.signed_in("inviting@theatre.example", roles=HEAD)
    person = await gateway.signed_in("person@example.com")
    new = {"email": "person@example.com", "name": "Somebody", "roles": ["ticket_desk"]}
    status, made = await head.ask("POST", "/accounts", json=new)
    assert (status, made["one_time_password"], made["confirmed"]) == (201, None, False)
    assert made["name"] == "Somebody", "what the platform knows of the person stays theirs"
    assert (await person.ask("GET", "/auth/me"))[1]["roles"] == []
    assert (await person.ask("POST", "/auth/invitations/accept", json={"code": "guess"}))[0] == 404
    stranger = await gateway.signed_in("not-invited@example.com")
    code = {"code": made["invitation_code"]}
    assert (await stranger.ask("POST", "/auth/invitations/accept", json=code))[0] == 404
    assert (await person.ask("POST", "/auth/invitations/accept", json=code))[0] == 200
    assert (await person.ask("GET", "/auth/me"))[1]["roles"] == ["ticket_desk"]
    assert (await head.ask("POST", "/accounts", json=new))[0] == 409


async def test_roles_change_and_end_at_once(gateway: Gateway) -> None:
    head = await gateway.signed_in("changing@theatre.example", roles=HEAD)
    desk = await gateway.signed_in("desk@theatre.example", roles={"theatre": [Role.TICKET_DESK]})
    desk_id = (await desk.ask("GET", "/auth/me"))[1]["account"]["id"]
    new = {"roles": ["storekeeper", "organizer"]}
    assert (await head.ask("PUT", f"/accounts/{desk_id}/roles", json=new))[0] == 200
    assert (await desk.ask("GET", "/auth/me"))[1]["roles"] == ["organizer", "storekeeper"]
    assert (await head.ask("DELETE", f"/accounts/{desk_id}"))[0] == 204
    assert (await desk.ask("GET", "/auth/me"))[1]["roles"] == []
    other = await gateway.signed_in("head@school.example", roles={"school": [Role.PROJECT_HEAD]})
    head_id = (await head.ask("GET", "/auth/me"))[1]["account"]["id"]
    assert (await other.ask("PUT", f"/accounts/{head_id}/roles", json=new))[0] == 404, "another organisation's"
    assert (await head.ask("DELETE", f"/accounts/{head_id}"))[0] == 409, "oneself"


async def test_a_lost_password_is_replaced_unless_the_account_is_shared(gateway: Gateway) -> None:
    head = await gateway.signed_in("resetting@theatre.example", roles=HEAD)
    desk = await gateway.signed_in("lost@theatre.example", roles={"theatre": [Role.TICKET_DESK]})
    desk_id = (await desk.ask("GET", "/auth/me"))[1]["account"]["id"]
    status, body = await head.ask("POST", f"/accounts/{desk_id}/one-time-password")
    assert status == 201
    assert (await desk.ask("GET", "/auth/me"))[0] == 401, "old sessions are over"
    assert (await desk.sign_in("lost@theatre.example", body["one_time_password"]))[0] == 200
    both = await gateway.account("both@example.com", roles={"theatre": [Role.TICKET_DESK], "school": [Role.SUPPORT]})
    status, problem = await head.ask("POST", f"/accounts/{both.id}/one-time-password")
    assert (status, problem["type"]) == (409, "/problems/shared-account")


async def test_an_expired_one_time_password_opens_nothing(gateway: Gateway) -> None:
    await gateway.account("late@theatre.example", one_time=True)
    async with gateway.app.state.db.as_worker() as session:
        change = update(Account).where(Account.email_key == "late@theatre.example")
        await session.execute(change.values(password_expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    status, problem = await gateway.browser().sign_in("late@theatre.example")
    assert (status, problem["type"]) == (401, "/problems/password-expired")


@pytest.mark.shows("TKT-5", "SET-10")
async def test_each_organisation_has_its_own_back_office(gateway: Gateway) -> None:
    person = await gateway.signed_in(
        "works-twice@example.com", roles={"theatre": [Role.TICKET_DESK], "school": [Role.SCHOOL_STAFF]}
    )
    _, nowhere = await person.ask("GET", "/auth/me")
    assert (nowhere["organisation"], nowhere["roles"], len(nowhere["memberships"])) == (None, [], 2)
    school = await gateway.organisation("school")
    for name in ("school", str(school.id)):
        _, there = await person.ask("GET", "/auth/me", headers={"X-Organisation": name})
        assert (there["organisation"], there["roles"]) == (str(school.id), ["school_staff"])
    status, problem = await person.ask("GET", "/auth/me", headers={"X-Organisation": "opera"})
    assert (status, problem["type"]) == (403, "/problems/not-a-member")
    _, shown = await person.ask("GET", "/organisation", headers={"X-Organisation": "school"})
    assert shown["slug"] == "school"


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
    claims = jwt.decode(
        dict(told["headers"])["authorization"].removeprefix("Bearer "), options={"verify_signature": False}
    )
    assert claims["name"] == "Нове Ім'я"


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
