"""Whether a browser's request comes from a page of ours.

Browsers send requests for any site, cookies with some of them, and a hold needs no cookie at all. What they say of
themselves, `Origin` and `Sec-Fetch-Site`, no page can forge; programs that are no browsers send neither.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from services.gateway.errors import CsrfRefused
from services.gateway.incoming import Incoming
from services.gateway.settings import Settings

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Origins:
    """The origins whose pages may change something."""

    def __init__(self, settings: Settings) -> None:
        self._secure = settings.secure_cookies
        self._ours = {_origin(settings.public_url), *map(_origin, settings.allowed_origins.split(","))} - {""}

    def require_ours(self, incoming: Incoming) -> None:
        """Raises `CsrfRefused` for a request that a page of another site makes."""
        origin, host = incoming.text(b"origin"), incoming.text(b"host")
        if origin is not None:
            same_host = urlsplit(origin).netloc == host and not self._secure
            if origin.lower() not in self._ours and not same_host:
                raise CsrfRefused(f"Pages of {origin[:100]} may not use this platform.")
        elif incoming.text(b"sec-fetch-site") in ("cross-site", "same-site"):
            raise CsrfRefused("Pages of another site may not use this platform.")


def require_token(incoming: Incoming, expected: str | None) -> None:
    """A browser sends cookies with other sites' forms too; the token it cannot know. Raises `CsrfRefused`."""
    sent = incoming.text(b"x-csrf-token")
    if not hmac.compare_digest((sent or "").encode(), (expected or "").encode()) or not sent:
        raise CsrfRefused("Send X-CSRF-Token with the token that sign-in or GET /auth/me answered.")


def _origin(url: str) -> str:
    parts = urlsplit(url.strip().lower())
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
