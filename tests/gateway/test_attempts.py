"""Guesses are stopped, in all processes together, and a stranger's guesses never stop the owner."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from services.gateway.attempts import Attempts, Limit
from tests.gateway.conftest import PASSWORD, Gateway, Serve
from tests.harness import eventually

PROXIED = {"sign_in_failures": 3, "trusted_proxies": "127.0.0.0/8", "rate_per_second": 0}


async def guess(gateway: Gateway, email: str, address: str, password: str = "a guess") -> int:
    given = {"email": email, "password": password}
    status, _ = await gateway.ask("POST", "/auth/sign-in", json=given, headers={"X-Forwarded-For": address})
    return status


async def test_guessing_is_stopped_in_all_processes_together(serve_gateway: Serve) -> None:
    async with serve_gateway(**PROXIED) as one, serve_gateway(one.app.state.urls, **PROXIED) as other:
        await one.account("target@example.com")
        both = (one, other, one, other, one)
        assert [await guess(gateway, "Target@example.com", "203.0.113.1") for gateway in both] == [
            401,
            401,
            401,
            429,
            429,
        ]
        given = {"email": "target@example.com", "password": PASSWORD}
        headers = {"X-Forwarded-For": "203.0.113.1"}
        async with one.client.post(one.url + "/auth/sign-in", json=given, headers=headers) as answer:
            assert answer.status == 429, "also with the right one"
            assert 60 < int(answer.headers["Retry-After"]) <= 300
        assert await guess(one, "target@example.com", "203.0.113.2", PASSWORD) == 200, "from elsewhere"


async def test_guesses_at_the_same_moment_are_counted(serve_gateway: Serve) -> None:
    async with serve_gateway(**PROXIED) as gateway:
        await gateway.account("burst@example.com")
        statuses = await asyncio.gather(*(guess(gateway, "burst@example.com", "203.0.113.1") for _ in range(12)))
        assert sorted(statuses) == [401] * 3 + [429] * 9


async def test_right_passwords_are_not_counted(serve_gateway: Serve) -> None:
    async with serve_gateway(sign_in_failures=2) as gateway:
        await gateway.account("often@example.com")
        for _ in range(12):
            assert (await gateway.browser().sign_in("often@example.com"))[0] == 200


async def test_a_stranger_cannot_lock_the_owner_out(serve_gateway: Serve) -> None:
    async with serve_gateway(**PROXIED) as gateway:
        await gateway.account("clerk@theatre.example")
        office = {"X-Forwarded-For": "198.51.100.7"}
        clerk = gateway.browser()
        given = {"email": "clerk@theatre.example", "password": PASSWORD}
        assert (await clerk.ask("POST", "/auth/sign-in", json=given, headers=office))[0] == 200

        statuses = [await guess(gateway, "clerk@theatre.example", f"2001:db8:0:{n:x}::1") for n in range(20)]
        assert statuses == [401] * 15 + [429] * 5, "a guess from everywhere is stopped"
        statuses = [await guess(gateway, "other@theatre.example", "198.51.100.7") for _ in range(20)]
        assert statuses[-1] == 429, "nor does the office's own address help them"

        assert (await clerk.ask("POST", "/auth/sign-in", json=given, headers=office))[0] == 200, (
            "a browser that is known"
        )
        new_browser = {"X-Forwarded-For": "192.0.2.1"}
        assert (await gateway.browser().ask("POST", "/auth/sign-in", json=given, headers=new_browser))[0] == 429
        _, by_letter = await gateway.opened("clerk@theatre.example")
        assert by_letter["account"]["email"] == "clerk@theatre.example", "a letter opens it in any case"


async def test_a_known_browser_is_known_to_its_own_account_alone_and_guesses_as_little(serve_gateway: Serve) -> None:
    async with serve_gateway(**PROXIED) as gateway:
        await gateway.account("mine@example.com")
        await gateway.account("theirs@example.com")
        browser = gateway.browser()
        await browser.sign_in("mine@example.com")
        browser.csrf = None
        for email in ("theirs@example.com", "mine@example.com"):
            given = {"email": email, "password": "a guess"}
            statuses = [(await browser.ask("POST", "/auth/sign-in", json=given))[0] for _ in range(4)]
            assert statuses == [401, 401, 401, 429], email


async def test_a_bucket_empties_with_time_and_is_not_made_fuller_by_who_keeps_trying(gateway: Gateway) -> None:
    attempts = Attempts(gateway.app.state.db, gateway.app.state.settings)
    limit = Limit(("test", "bucket"), 2, seconds=0.4)
    assert limit.step == timedelta(seconds=0.2)

    async def allowed() -> bool:
        try:
            await attempts.start([limit])
        except Exception:
            return False
        return True

    tried = 0
    while await allowed():
        tried += 1
        assert tried < 1000
    assert tried >= 2

    await eventually(allowed)  # trying all the time does not keep it full for ever
