"""Buckets, networks and key rotation, without a server."""

from __future__ import annotations

import json
from uuid import uuid4

import jwt
import pytest
from pydantic import SecretStr

from chassis.keys import KeySet
from chassis.networks import Networks, client_address, network_of
from contracts.accounts import Role
from services.gateway import passwords
from services.gateway.errors import WeakPassword
from services.gateway.limits import Buckets
from services.gateway.settings import Settings
from services.gateway.tokens import Tokens, claims_of
from tests.harness import TokenMint, public_pem


def test_a_bucket_empties_and_fills() -> None:
    now = [0.0]
    buckets = Buckets(2, 4, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0
    now[0] = 100
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]


def test_only_so_many_buckets_are_kept() -> None:
    buckets = Buckets(1, 1, keep=10)
    for number in range(100):
        buckets.take(number)
    assert len(buckets._levels) == 10


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("9.9.9.9", "1.2.3.4", "9.9.9.9"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "x, 10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("", "1.2.3.4", ""),
    ],
)
def test_client_address(peer: str, forwarded: str | None, expected: str) -> None:
    assert client_address(peer, forwarded, Networks("10.0.0.0/8, ::1/128")) == expected


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:0DB8:0:0:ffff::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_one_client(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_keys_are_rotated_without_a_gap() -> None:
    old, new = TokenMint().pem, TokenMint().pem

    def tokens(signing: str, *published: str) -> Tokens:
        return Tokens(Settings(token_signing_key=SecretStr(signing), token_published_keys="".join(published)))

    announced, swapped = tokens(old, public_pem(new)), tokens(new, public_pem(old))
    assert len(announced.jwks()["keys"]) == len(swapped.jwks()["keys"]) == 2
    for signer in (announced, swapped):
        claims = claims_of(uuid4(), name="N", email="e", organisation=None, roles=[Role.SUPPORT])
        token = signer.sign(claims, network="203.0.113.7")
        for publisher in (announced, swapped):
            keys = KeySet(inline=json.dumps(publisher.jwks()))
            claims = await keys.verify(token, audience="footlights", issuer="footlights-gateway")
            assert claims["roles"] == ["support"]
    kids = {jwt.get_unverified_header(t.sign({}, network=""))["kid"] for t in (announced, swapped)}
    assert len(kids) == 2


def test_production_refuses_the_development_key() -> None:
    with pytest.raises(ValueError, match="TOKEN_SIGNING_KEY"):
        Settings(footlights_env="production")


def test_replicas_agree_on_the_development_key() -> None:
    assert Tokens(Settings()).jwks() == Tokens(Settings()).jwks()


async def test_passwords() -> None:
    stored = await passwords.hash_password("пароль довгий")
    assert await passwords.verify_password(stored, "пароль довгий")
    assert not await passwords.verify_password(stored, "інший")
    assert not await passwords.verify_password(None, "пароль довгий")
    assert not await passwords.verify_password("not a hash", "x")
    assert len({passwords.one_time_password() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "password",
    ["password", "Password1", "qwertyuiop", "iloveyou1", "p@ssw0rd", "11111111", "abcabcabc", "olena@example.com",
     "footlights1", "l0ve" * 50, "a" * 200],
)  # fmt: skip
async def test_what_guessers_try_first_is_no_password(password: str) -> None:
    with pytest.raises(WeakPassword):
        await passwords.require_strong(password, "olena@example.com", "Olena")


@pytest.mark.parametrize("password", ["correct horse battery", "пароль довгий", "h7-Fw_2q"])
async def test_other_passwords_are_taken_whatever_they_are_made_of(password: str) -> None:
    await passwords.require_strong(password, "olena@example.com", None)
