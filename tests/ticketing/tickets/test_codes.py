"""Codes on tickets and quotes: what is forged, and keys that are replaced while tickets are about. Pure."""

from __future__ import annotations

import base64
import json
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chassis.keys import KeySet, Signer
from chassis.problems import Unauthorised
from services.ticketing.holds.quotes import AUDIENCE, ISSUER, Quotes
from services.ticketing.main import create
from services.ticketing.settings import Settings
from services.ticketing.tickets.codes import Codes, NotOurs, OtherDay, OtherShow, Told, judge, keys_of, read
from tests.harness import TokenMint, public_pem

OLD, NEW = TokenMint().pem, TokenMint().pem


TOLD = Told(ticket_id=uuid4(), show_id=uuid4(), day=date(2027, 3, 8))


def test_codes_of_tickets_sold_before_a_rotation_stay_good() -> None:
    sold = Codes(OLD).sign(TOLD)
    announced, swapped = Codes(OLD, public_pem(NEW)), Codes(NEW, public_pem(OLD))
    assert announced.sign(TOLD) == sold
    for codes in (announced, swapped):
        assert read(sold, codes.keys) == read(swapped.sign(TOLD), codes.keys) == TOLD
        assert len(codes.jwks()["keys"]) == 2
    with pytest.raises(NotOurs):
        read(sold, Codes(NEW).keys)


def test_a_device_judges_a_code_without_a_network() -> None:
    """All it has are the keys, its show and the days that it lets in."""
    keys = keys_of(json.loads(json.dumps(Codes(OLD).jwks())))
    code = Codes(OLD).sign(TOLD)
    assert judge(code, keys, show_id=TOLD.show_id, days=[TOLD.day]) == TOLD
    moved = TOLD.day + timedelta(days=7)
    assert judge(code, keys, show_id=TOLD.show_id, days=[moved, TOLD.day]) == TOLD
    with pytest.raises(OtherDay, match="2027-03-08"):
        judge(code, keys, show_id=TOLD.show_id, days=[moved])
    with pytest.raises(OtherShow):
        judge(code, keys, show_id=uuid4(), days=[TOLD.day])
    with pytest.raises(NotOurs):
        judge(Codes(NEW).sign(TOLD), keys, show_id=TOLD.show_id, days=[TOLD.day])


def test_the_format_is_the_documented_one() -> None:
    """A device that knows nothing but docs/door.md."""
    prefix, told, signature = Codes(OLD).sign(TOLD).split(".")
    raw, signed = (base64.urlsafe_b64decode(part + "==") for part in (told, signature))
    (key,) = Codes(OLD).jwks()["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=="))
    public.verify(signed, b"footlights ticket 2 " + raw)
    assert prefix == "FL2"
    assert raw[:8].hex() == key["kid"]
    assert (UUID(bytes=raw[8:24]), UUID(bytes=raw[24:40])) == (TOLD.show_id, TOLD.ticket_id)
    assert date(1970, 1, 1) + timedelta(days=int.from_bytes(raw[40:], "big")) == TOLD.day
    assert len(raw) == 44


def _with_byte(code: str, number: int) -> str:
    """The code with one bit of what it tells, or of the signature, changed."""
    prefix, told, signature = code.split(".")
    raw = bytearray(base64.urlsafe_b64decode(told + "==") + base64.urlsafe_b64decode(signature + "=="))
    raw[number] ^= 1
    spelt = [base64.urlsafe_b64encode(bytes(part)).rstrip(b"=").decode() for part in (raw[:44], raw[44:])]
    return ".".join([prefix, *spelt])


@pytest.mark.parametrize("number", [0, 7, 8, 23, 24, 39, 40, 43, 44, 107])
def test_an_altered_code_is_no_ticket(number: int) -> None:
    codes = Codes(OLD, public_pem(NEW))
    with pytest.raises(NotOurs):
        read(_with_byte(codes.sign(TOLD), number), codes.keys)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:-2],
        lambda c: c.replace("FL2", "FL1"),
        lambda c: c + "=",
        lambda c: c + " ",
        lambda c: c[:-1] + chr(ord(c[-1]) + 1),
        lambda c: c.replace(".", ". "),
        lambda c: c * 1000,
        lambda _: "x",
        lambda _: "",
        lambda _: "FL2..",
        lambda _: "FL2.\N{CYRILLIC SMALL LETTER A}.\ud800",
    ],
)
def test_what_we_did_not_sign_is_no_ticket(change) -> None:
    codes = Codes(OLD, public_pem(NEW))
    with pytest.raises(NotOurs):
        read(change(codes.sign(TOLD)), codes.keys)


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
    assert read(state.printer.codes.sign(TOLD), Codes(NEW).keys) == TOLD
    assert state.quotes.jwks() == Quotes(OLD).jwks()
    with pytest.raises(NotOurs):
        read(Codes(OLD).sign(TOLD), state.printer.codes.keys)


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
