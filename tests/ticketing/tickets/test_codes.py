"""Codes on tickets and quotes: what is forged, and keys that are replaced while tickets are about. Pure."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from chassis.keys import KeySet, Signer
from chassis.problems import Unauthorised
from services.ticketing.holds.quotes import AUDIENCE, ISSUER, Quotes
from services.ticketing.main import create
from services.ticketing.settings import Settings
from services.ticketing.tickets.codes import Codes
from tests.harness import TokenMint, public_pem

OLD, NEW = TokenMint().pem, TokenMint().pem


def test_codes_of_tickets_sold_before_a_rotation_stay_good() -> None:
    ticket = uuid4()
    sold = Codes(OLD).sign(ticket)
    announced, swapped = Codes(OLD, public_pem(NEW)), Codes(NEW, public_pem(OLD))
    assert announced.sign(ticket) == sold
    for codes in (announced, swapped):
        assert codes.verify(sold) == codes.verify(swapped.sign(ticket)) == ticket
    with pytest.raises(ValueError, match="not the code"):
        Codes(NEW).verify(sold)


@pytest.mark.parametrize("change", [lambda c: c[:-2], lambda c: c.replace("FL1", "FL2"), lambda _: "x"])
def test_what_we_did_not_sign_is_no_ticket(change) -> None:
    codes = Codes(OLD, public_pem(NEW))
    with pytest.raises(ValueError, match="not the code"):
        codes.verify(change(codes.sign(uuid4())))


async def test_quotes_signed_before_a_rotation_stay_good() -> None:
    hold = uuid4()
    announced, swapped = Quotes(OLD, public_pem(NEW)), Quotes(NEW, public_pem(OLD))
    tokens = [_quote(pem, hold) for pem in (OLD, NEW)]
    for quotes in (announced, swapped):
        keys = KeySet(inline=json.dumps(quotes.jwks()), remember=False)
        assert [await _hold_of(keys, token) for token in tokens] == [str(hold)] * 2
        assert len(quotes.jwks()["keys"]) == 2
    assert announced.jwks()["keys"][0] != swapped.jwks()["keys"][0], "the active one is first"
    with pytest.raises(Unauthorised):
        await _hold_of(KeySet(inline=json.dumps(Quotes(NEW).jwks())), tokens[0])


async def _hold_of(keys: KeySet, token: str) -> str:
    claims = await keys.verify(token, audience=AUDIENCE, issuer=ISSUER)
    return str(claims["hold_id"])


def _quote(pem: str, hold) -> str:
    return Signer(pem, ISSUER).sign({"hold_id": str(hold)}, ttl_seconds=60, audience=AUDIENCE)


def test_tickets_and_quotes_have_keys_of_their_own() -> None:
    settings = Settings(
        quote_signing_key=OLD, ticket_signing_key=NEW, ticket_published_keys=public_pem(TokenMint().pem)
    )
    state = create(settings).state
    ticket = uuid4()
    assert Codes(NEW).verify(state.printer.codes.sign(ticket)) == ticket
    assert state.quotes.jwks() == Quotes(OLD).jwks()
    with pytest.raises(ValueError, match="not the code"):
        state.printer.codes.verify(Codes(OLD).sign(ticket))


@pytest.mark.parametrize("setting", ["quote_published_keys", "ticket_published_keys"])
@pytest.mark.parametrize("text", ["nonsense", OLD])
def test_only_public_keys_are_published(setting: str, text: str) -> None:
    """A private key that was put there by mistake is not published."""
    with pytest.raises(ValueError, match=r"[Pp]ublic key|PEM|key"):
        create(Settings(**{setting: text}))


@pytest.mark.parametrize("setting", ["QUOTE_SIGNING_KEY", "TICKET_SIGNING_KEY"])
def test_production_refuses_the_development_keys(setting: str) -> None:
    own = {"quote_signing_key": OLD, "ticket_signing_key": NEW, "link_secret": "s" * 32, "erasure_key": "e" * 32}
    del own[setting.lower()]
    with pytest.raises(ValueError, match=setting):
        Settings(footlights_env="production", **own)
