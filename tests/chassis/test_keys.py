"""What a verifier of tokens keeps in memory."""

from __future__ import annotations

import json

import pytest

from chassis.keys import KeySet, Signer
from services.ticketing.settings import DEVELOPMENT_KEY


@pytest.mark.parametrize("remember", [True, False])
async def test_only_tokens_that_come_again_and_again_are_remembered(remember: bool) -> None:
    signer = Signer(DEVELOPMENT_KEY, "issuer")
    keys = KeySet(inline=json.dumps(signer.jwks()), remember=remember)
    token = signer.sign({"sub": "1"}, ttl_seconds=60, audience="a")
    for _ in range(2):
        assert (await keys.verify(token, audience="a", issuer="issuer"))["sub"] == "1"
    assert len(keys._remembered) == int(remember)


async def test_no_quotes_are_remembered() -> None:
    from services.orders.main import app as orders

    assert not orders.state.quote_keys._remember
