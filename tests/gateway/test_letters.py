"""Mailed links: opening an account, signing in without a password, a forgotten password, and what a stranger gains."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from chassis.letters import token_of
from contracts.accounts import Role
from services.gateway import letters
from services.gateway.models import Letter
from tests.gateway.conftest import PASSWORD, Gateway, Serve, claims_told


async def ask_for(gateway: Gateway, email: str, **more: Any) -> tuple[int, Any]:
    return await gateway.ask("POST", "/auth/letters", json={"email": email, **more})


async def outbox_of(gateway: Gateway, word: str) -> str:
    """All that was published and has this word in it."""
    async with gateway.app.state.db.as_worker() as session:
        rows = []
        for table in ("outbox", "outbox_published"):
            query = text(f"SELECT topic || ' ' || convert_from(value, 'UTF8') FROM {table}")
            rows += list(await session.scalars(query))
    return "\n".join(row for row in rows if word in row)


async def test_a_buyer_opens_an_account_and_is_known(gateway: Gateway) -> None:
    assert (await ask_for(gateway, " Taras@Example.COM", locale="uk"))[0] == 202
    browser = gateway.browser()
    reader = {"token": await gateway.letter_to("taras@example.com"), "name": "Тарас", "phone": "+380 67 111 22 33"}
    status, body = await browser.ask("POST", "/auth/letters/use", json=reader | {"password": PASSWORD})
    assert (status, body["account"]["name"], body["account"]["verified"]) == (200, "Тарас", True)
    assert (body["account"]["locale"], body["account"]["phone"]) == ("uk", "+380671112233")
    _, me = await browser.ask("GET", "/auth/me")
    assert (me["roles"], me["csrf_token"]) == ([], body["csrf_token"])
    _, told = await browser.ask("GET", "/api/orders/x")
    assert claims_told(told)["email"] == "taras@example.com"
    assert (await gateway.browser().sign_in("taras@example.com"))[0] == 200


async def test_nobody_learns_who_has_an_account(gateway: Gateway) -> None:
    await gateway.account("somebody@example.com")
    known, unknown = [await ask_for(gateway, email) for email in ("somebody@example.com", "nobody@example.com")]
    assert known[0] == unknown[0] == 202
    assert str(known[1]).replace("somebody", "nobody") == str(unknown[1])
    assert '"kind":"sign_in"' in await outbox_of(gateway, "somebody@example.com")
    told = await outbox_of(gateway, "nobody@example.com")
    assert '"kind":"open_account"' in told
    assert "accounts.account" not in told, "nothing is told of an address that was only typed"


async def test_no_secret_is_published_or_stored(gateway: Gateway) -> None:
    await ask_for(gateway, "sealed@example.com")
    token = await gateway.letter_to("sealed@example.com")
    told = await outbox_of(gateway, "sealed@example.com")
    async with gateway.app.state.db.as_worker() as session:
        rows = "".join(map(str, await session.execute(text("SELECT letter::text FROM letter"))))
    for part in token.split("."):
        assert part not in told
        assert part not in rows


@pytest.mark.parametrize(
    "change",
    [
        {"name": " "},
        {"name": "a\nb"},
        {"phone": "call me"},
        {"phone": "0671112233"},
        {"password": "short"},
        {"password": "password1"},
        {"roles": ["support"]},
    ],
)
async def test_a_reader_must_make_sense_and_may_try_again(gateway: Gateway, change: dict[str, object]) -> None:
    given = {"token": await letter_for(gateway, "sense@example.com"), "name": "X"}
    status, problem = await gateway.ask("POST", "/auth/letters/use", json=given | change)
    assert status == 422, problem
    assert (await gateway.ask("POST", "/auth/letters/use", json=given))[0] == 200, "the letter was not used up"


async def letter_for(gateway: Gateway, email: str) -> str:
    """A letter past the limits of how many there may be."""
    async with gateway.app.state.db.as_worker() as session:
        letter_id = await letters.request(session, email, "en", timedelta(minutes=60))
    return token_of(gateway.app.state.settings, letter_id, datetime.now(UTC) + timedelta(minutes=60))


async def test_a_new_account_needs_a_name(gateway: Gateway) -> None:
    token = await letter_for(gateway, "nameless@example.com")
    status, problem = await gateway.ask("POST", "/auth/letters/use", json={"token": token})
    assert (status, problem["type"]) == (422, "/problems/person-needed")


async def test_a_letter_opens_once_and_not_for_long(gateway: Gateway) -> None:
    token = await letter_for(gateway, "once@example.com")
    given = {"token": token, "name": "Once"}
    answers = await asyncio.gather(*(gateway.ask("POST", "/auth/letters/use", json=given) for _ in range(4)))
    assert sorted(status for status, _ in answers) == [200, 410, 410, 410]
    late = await letter_for(gateway, "once@example.com")
    async with gateway.app.state.db.as_worker() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        await session.execute(update(Letter).where(Letter.email == "once@example.com").values(expires_at=past))
    assert (await gateway.ask("POST", "/auth/letters/use", json=given | {"token": late}))[0] == 410
    forged = token_of(
        gateway.app.state.settings.model_copy(update={"letter_secret": gateway.app.state.settings.link_secret}),
        (await any_letter(gateway)).id,
        datetime.now(UTC) + timedelta(hours=1),
    )
    for wrong in (forged, "x", "", late + "x"):
        assert (await gateway.ask("POST", "/auth/letters/use", json=given | {"token": wrong}))[0] == 401, wrong


async def any_letter(gateway: Gateway) -> Letter:
    async with gateway.app.state.db.as_worker() as session:
        return (await session.scalars(select(Letter).limit(1))).one()


async def test_two_letters_at_once_open_one_account(gateway: Gateway) -> None:
    tokens = [await letter_for(gateway, "twice@example.com") for _ in range(6)]
    answers = await asyncio.gather(
        *(gateway.ask("POST", "/auth/letters/use", json={"token": token, "name": "T"}) for token in tokens)
    )
    assert {status for status, _ in answers} == {200}
    assert len({body["account"]["id"] for _, body in answers}) == 1


async def test_two_organisations_at_once_make_one_account(gateway: Gateway) -> None:
    heads = [
        await gateway.signed_in(f"head@race{n}.example", roles={f"race{n}": [Role.PROJECT_HEAD]}) for n in range(4)
    ]
    new = {"email": "raced@example.com", "name": "R", "roles": ["ticket_desk"]}
    answers = await asyncio.gather(*(head.ask("POST", "/accounts", json=new) for head in heads))
    assert {status for status, _ in answers} <= {201, 409}, answers
    assert [body["one_time_password"] is not None for status, body in answers if status == 201].count(True) == 1


async def test_a_forgotten_password_is_replaced_and_everything_else_ends(gateway: Gateway) -> None:
    before = await gateway.signed_in("forgetful@example.com")
    _, key = await before.ask("POST", "/auth/api-keys", json={"name": "k"})
    given = {"token": await letter_for(gateway, "forgetful@example.com"), "password": "a quite different one"}
    assert (await gateway.browser().ask("POST", "/auth/letters/use", json=given))[0] == 200
    assert (await before.ask("GET", "/auth/me"))[0] == 401
    assert (await gateway.ask("GET", "/auth/me", headers={"Authorization": f"Bearer {key['key']}"}))[0] == 401
    assert (await gateway.browser().sign_in("forgetful@example.com"))[0] == 401
    assert (await gateway.browser().sign_in("forgetful@example.com", "a quite different one"))[0] == 200


async def test_signing_in_by_letter_leaves_the_password(gateway: Gateway) -> None:
    before = await gateway.signed_in("no-password-now@example.com")
    given = {"token": await letter_for(gateway, "no-password-now@example.com")}
    assert (await gateway.browser().ask("POST", "/auth/letters/use", json=given))[0] == 200
    assert (await before.ask("GET", "/auth/me"))[0] == 200
    assert (await gateway.browser().sign_in("no-password-now@example.com"))[0] == 200


async def test_who_made_an_account_for_an_address_loses_it_to_its_reader(gateway: Gateway) -> None:
    head = await gateway.signed_in("sly@theatre.example", roles={"theatre": [Role.PROJECT_HEAD]})
    new = {"email": "victim@example.com", "name": "Somebody", "phone": "+380671112233", "roles": ["ticket_desk"]}
    _, made = await head.ask("POST", "/accounts", json=new)
    sly = gateway.browser()
    await sly.sign_in("victim@example.com", made["one_time_password"])
    change = {"current": made["one_time_password"], "new": PASSWORD}
    assert (await sly.ask("POST", "/auth/password", json=change))[0] == 204
    assert (await sly.ask("PATCH", "/auth/me", json={"name": "Me", "phone": "+380679999999"}))[0] == 200
    _, key = await sly.ask("POST", "/auth/api-keys", json={"name": "k"})
    _, told = await sly.ask("GET", "/api/orders/x")
    assert claims_told(told)["email"] is None, "the address is not theirs"
    assert "accounts.account" not in await outbox_of(gateway, "victim@example.com"), "no service hears of them"

    victim, body = await gateway.opened("victim@example.com", name="Victim")
    assert (body["account"]["name"], body["account"]["phone"]) == ("Victim", None)
    assert (await sly.ask("GET", "/auth/me"))[0] == 401
    assert (await gateway.ask("GET", "/auth/me", headers={"Authorization": f"Bearer {key['key']}"}))[0] == 401
    assert (await gateway.browser().sign_in("victim@example.com"))[0] == 401
    told = await outbox_of(gateway, "victim@example.com")
    assert '"name":"Victim"' in told
    assert '"name":"Me"' not in told
    assert (await victim.ask("GET", "/auth/me"))[1]["roles"] == ["ticket_desk"]


async def test_letters_are_limited_without_stopping_their_reader(serve_gateway: Serve) -> None:
    async with serve_gateway(letters_per_address=2, letters_per_network=5, trusted_proxies="127.0.0.0/8") as gateway:
        asked = {"json": {"email": "flooded@example.com"}}
        for number in range(4):
            headers = {"X-Forwarded-For": f"203.0.113.{number}"}
            assert (await gateway.ask("POST", "/auth/letters", headers=headers, **asked))[0] == 202
        async with gateway.app.state.db.as_worker() as session:
            found = list(await session.scalars(select(Letter)))
        assert len(found) == 2, "more are not sent; those that are there still open the account"
        stranger = {"X-Forwarded-For": "2001:db8::1"}
        statuses = [
            (await gateway.ask("POST", "/auth/letters", headers=stranger, json={"email": f"x{n}@example.com"}))[0]
            for n in range(6)
        ]
        assert statuses == [202] * 5 + [429]
        neighbour = {"X-Forwarded-For": "2001:db8::ffff"}
        assert (await gateway.ask("POST", "/auth/letters", headers=neighbour, **asked))[0] == 429, "of the same /64"


async def test_the_page_of_a_link_changes_nothing_until_its_button_is_pressed(gateway: Gateway) -> None:
    token = await letter_for(gateway, "page@example.com")
    for _ in range(2):
        status, page = await gateway.ask("GET", f"/auth/link?token={token}")
        assert status == 200, "programs that look into mails follow links"
        assert f'value="{token}"' in page
        assert "page@example.com" in page
    form = {"token": token, "name": '<b>"Ada"</b>', "phone": "12", "password": ""}
    status, page = await gateway.ask("POST", "/auth/link", data=form)
    assert status == 422
    assert "country" in page
    browser = gateway.browser()
    status, page = await browser.ask("POST", "/auth/link", data=form | {"phone": "+380671112233"})
    assert status == 200
    assert "&lt;b&gt;" in page
    assert (await browser.ask("GET", "/auth/me"))[1]["account"]["email"] == "page@example.com"
    assert (await gateway.ask("GET", f"/auth/link?token={token}"))[0] == 410
    assert (await gateway.ask("GET", "/auth/link?token=x"))[0] == 401
    foreign = {"Origin": "https://evil.example"}
    other = await letter_for(gateway, "page@example.com")
    answer = await gateway.ask("POST", "/auth/link", data={"token": other}, headers=foreign)
    assert answer[0] == 403, "nobody signs somebody else in with a letter of their own"


async def test_the_page_speaks_the_language_of_the_letter(gateway: Gateway) -> None:
    for locale, word in (("uk", "Увійти"), ("pl", "Zaloguj"), ("ru", "Войти"), ("en", "Sign in")):
        await gateway.account(f"page-{locale}@example.com", locale=locale)
        async with gateway.app.state.db.as_worker() as session:
            letter_id = await letters.request(session, f"page-{locale}@example.com", locale, timedelta(hours=1))
        token = token_of(gateway.app.state.settings, letter_id, datetime.now(UTC) + timedelta(hours=1))
        async with gateway.client.get(f"{gateway.url}/auth/link", params={"token": token}) as answer:
            assert word in await answer.text()
            assert "script" not in answer.headers["Content-Security-Policy"]
            assert answer.headers["Cache-Control"] == "no-store"
