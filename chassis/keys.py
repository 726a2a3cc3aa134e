"""Ed25519 signatures: tokens of the gateway, quotes of ticketing. The signer publishes its public keys as a JWK set.

Rotation without a gap: publish the next public key beside the old one, then swap the signing key and publish the old
public key, then drop it after the last signature made with it has expired.

A verifier fetches the set when it meets a key it does not know (at most every few seconds), keeps what it has while the
signer is away, and remembers verified access tokens, because verifying costs as much as a whole request. Quotes are
large and come once or twice: they are not remembered.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from typing import Any

import aiohttp
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from nacl.signing import SigningKey

from chassis.logging import get_logger
from chassis.problems import Unauthorised, Unavailable

log = get_logger(__name__)

ALGORITHM = "EdDSA"
PUBLIC_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)
REFETCH_SECONDS = 5.0
REMEMBERED = 20_000
LEEWAY_SECONDS = 5


def private_key(pem: str) -> Ed25519PrivateKey:
    """Raises `ValueError` for anything but an Ed25519 private key in PEM."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the signing key is not an Ed25519 key in PEM")
    return key


def public_keys(pems: str) -> list[Ed25519PublicKey]:
    """The keys of a setting that holds public keys in PEM, one after another. Raises `ValueError` if one is not
    Ed25519, or if there is text and no key in it."""
    found = PUBLIC_PEM.findall(pems)
    keys = [key for pem in found if isinstance(key := load_pem_public_key(pem.encode()), Ed25519PublicKey)]
    if len(keys) < len(found) or (pems.strip() and not found):
        raise ValueError("among the published keys is one that is not an Ed25519 public key in PEM")
    return keys


def jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The key as JSON. Its id is a function of the key."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    kid = hashlib.sha256(raw).hexdigest()[:16]
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw).decode(), "kid": kid, "alg": ALGORITHM, "use": "sig"}


class Signer:
    """Signs with one key; `issuer` names the service.

    `published` are public keys that verifiers accept besides: the next key before a rotation, the last one after it.
    """

    def __init__(self, pem: str, issuer: str, published: str = "") -> None:
        private = private_key(pem)
        # Signing is the dearest part of a hold: libsodium takes 24 us for it, OpenSSL 41.
        self._key = SigningKey(private.private_bytes_raw())
        self._issuer = issuer
        mine = jwk(private.public_key())
        self.kid = mine["kid"]
        self._published = [mine, *(key for key in map(jwk, public_keys(published)) if key["kid"] != self.kid)]
        self._head = _base64url(orjson.dumps({"alg": ALGORITHM, "kid": self.kid, "typ": "JWT"}))

    def sign(self, claims: dict[str, Any], *, ttl_seconds: float, audience: str) -> str:
        """A compact JWS of the claims, valid for `ttl_seconds`."""
        now = time.time()
        payload = {**claims, "iss": self._issuer, "aud": audience, "iat": int(now), "exp": int(now + ttl_seconds)}
        signed = self._head + b"." + _base64url(orjson.dumps(payload, option=orjson.OPT_UTC_Z))
        return (signed + b"." + _base64url(self._key.sign(signed).signature)).decode()

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set, the active one first."""
        return {"keys": self._published}


class TokenExpired(Unauthorised):
    """It was good once."""


class KeySet:
    """Verifies tokens of one issuer, by the address of its key set or by the set itself."""

    def __init__(self, *, url: str = "", inline: str = "", remember: bool = True) -> None:
        self._url = url
        self._remember = remember
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -REFETCH_SECONDS
        self._fetching = asyncio.Lock()
        self._remembered: dict[tuple[str, str], dict[str, Any]] = {}
        if inline:
            self._accept(json.loads(inline))

    async def verify(self, token: str, *, audience: str, issuer: str) -> dict[str, Any]:
        """The claims. Raises `Unauthorised` for a token that is not valid, `Unavailable` when no key can be had."""
        known = self._remembered.get((token, audience))
        if known is not None and known["exp"] > time.time():
            return known
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
            key = await self._key(kid)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("The token has expired. Get a new one.") from None
        except (jwt.PyJWTError, ValueError) as error:
            raise Unauthorised(f"The token is not valid: {error}.") from None
        if self._remember:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[token, audience] = claims
        return claims

    async def load(self) -> bool:
        """Whether there is at least one key, after fetching if there is none."""
        if not self._keys and self._url:
            await self._fetch()
        return bool(self._keys)

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys and self._url:
            await self._fetch()
        if not self._keys:
            raise Unavailable("The keys to check tokens cannot be fetched. Try again in a moment.")
        if kid not in self._keys:
            raise jwt.InvalidTokenError("it was signed with an unknown key")
        return self._keys[kid]

    async def _fetch(self) -> None:
        async with self._fetching:
            if time.monotonic() - self._fetched_at < (REFETCH_SECONDS if self._keys else 0.5):
                return
            self._fetched_at = time.monotonic()
            try:
                timeout = aiohttp.ClientTimeout(total=3)
                async with aiohttp.ClientSession(timeout=timeout) as client, client.get(self._url) as answer:
                    answer.raise_for_status()
                    self._accept(await answer.json())
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.warning("keys not fetched", url=self._url, error=repr(error))

    def _accept(self, jwks: dict[str, Any]) -> None:
        self._keys = {key["kid"]: jwt.PyJWK(key, algorithm=ALGORITHM) for key in jwks["keys"]}
        self._remembered.clear()


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
