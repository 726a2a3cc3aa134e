"""Signed links: whoever holds one may open one thing, without an account. Signed and verified by the same service."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import jwt
from pydantic import SecretStr

from chassis.problems import Unauthorised

ALGORITHM = "HS256"


@dataclass(frozen=True, slots=True)
class Link:
    subject: UUID
    organisation: UUID


class Links:
    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret.get_secret_value()

    def sign(
        self, kind: str, subject: UUID, organisation: UUID, *, ttl_seconds: float, since: datetime | None = None
    ) -> str:
        """A token that opens `subject`; `kind` keeps a link to one sort of thing from opening another.

        With `since`, from which its time counts instead of from now, it is the same however often it is made.
        """
        until = (since.timestamp() if since else time.time()) + ttl_seconds
        claims = {"aud": kind, "sub": str(subject), "org": str(organisation), "exp": int(until)}
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def verify(self, kind: str, token: str) -> Link:
        """Raises `Unauthorised` for a link that is forged, expired or of another kind."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=kind,
                options={"require": ["exp", "sub", "aud"]},
            )
            return Link(UUID(claims["sub"]), UUID(claims["org"]))
        except jwt.ExpiredSignatureError:
            raise Unauthorised("The link has expired. Ask for a new one.") from None
        except (jwt.PyJWTError, ValueError, KeyError):
            raise Unauthorised("The link is not valid. Check that it was copied whole.") from None
