"""What a verifier of tokens keeps in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from fastapi import FastAPI

from chassis.keys import LEEWAY_SECONDS, KeySet, Signer, TokenExpired
from chassis.problems import Unauthorised
from services.ticketing.settings import DEVELOPMENT_KEY
from tests.harness import TokenMint, serve


@pytest.mark.parametrize("remember", [True, False])
async def test_only_tokens_that_come_again_and_again_are_remembered(remember: bool) -> None:
    signer = Signer(DEVELOPMENT_KEY, "issuer")
    keys = KeySet(inline=json.dumps(signer.jwks()), remember=remember)
    token = signer.sign({"sub": "1"}, ttl_seconds=60, audience="a")
    for _ in range(2):
        assert (await keys.verify(token, audience="a", issuer="issuer"))["sub"] == "1"
    assert len(keys._remembered) == int(remember)


@pytest.mark.parametrize("remember", [True, False])
async def test_a_token_that_was_seen_ends_as_well(remember: bool) -> None:
    signer = Signer(DEVELOPMENT_KEY, "issuer")
    keys = KeySet(inline=json.dumps(signer.jwks()), remember=remember)
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        token = signer.sign({"sub": "1"}, ttl_seconds=60, audience="a")
        for passed in (0, 59):
            clock.shift(passed)
            assert (await keys.verify(token, audience="a", issuer="issuer"))["sub"] == "1"
        clock.shift(LEEWAY_SECONDS + 2)
        with pytest.raises(TokenExpired):
            await keys.verify(token, audience="a", issuer="issuer")


async def test_a_token_opens_nothing_else_because_it_was_seen() -> None:
    signer = Signer(DEVELOPMENT_KEY, "issuer")
    keys = KeySet(inline=json.dumps(signer.jwks()))
    token = signer.sign({"sub": "1"}, ttl_seconds=60, audience="a")
    await keys.verify(token, audience="a", issuer="issuer")
    for audience, issuer in (("b", "issuer"), ("b", "another")):
        with pytest.raises(Unauthorised):
            await keys.verify(token, audience=audience, issuer=issuer)


async def test_what_was_signed_with_a_withdrawn_key_opens_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of verified tokens goes with the keys that it was made with."""
    monkeypatch.setattr("chassis.keys.REFETCH_SECONDS", 0.0)
    old, new = Signer(DEVELOPMENT_KEY, "issuer"), Signer(TokenMint().pem, "issuer")
    published = [old]
    app = FastAPI()

    @app.get("/keys")
    async def answer() -> dict[str, Any]:
        return {"keys": [key for signer in published for key in signer.jwks()["keys"]]}

    async with serve(app) as url:
        keys = KeySet(url=f"{url}/keys")
        before, after = (signer.sign({"sub": "1"}, ttl_seconds=60, audience="a") for signer in (old, new))
        assert await keys.load()
        await keys.verify(before, audience="a", issuer="issuer")
        published[:] = [old, new]
        await keys.verify(after, audience="a", issuer="issuer")
        await keys.verify(before, audience="a", issuer="issuer")
        published[:] = [new]
        with pytest.raises(Unauthorised):
            await keys.verify(
                Signer(TokenMint().pem, "issuer").sign({}, ttl_seconds=9, audience="a"), audience="a", issuer="issuer"
            )
        with pytest.raises(Unauthorised):
            await keys.verify(before, audience="a", issuer="issuer")
        await keys.verify(after, audience="a", issuer="issuer")


async def test_no_quotes_are_remembered() -> None:
    from services.orders.main import app as orders

    assert not orders.state.quote_keys._remember
