"""Reads the PDF files to attach, by the signed addresses that events carried.

Only addresses of our own platform are read, without following redirects: an event must not make this service read
something else in its network.
"""

from __future__ import annotations

import time
from urllib.parse import unquote, urlsplit

import aiohttp

from services.notifications import metrics
from services.notifications.delivery.verdicts import Refused, TryLater

TIMEOUT = aiohttp.ClientTimeout(total=20, connect=5)
LARGEST = 10 * 1024 * 1024
"""Bytes; mail servers take little more."""


class Withdrawn(Refused):
    """The document is not there any more."""


class Documents:
    """`internal` replaces the public address of the platform where it is reached otherwise from inside."""

    def __init__(self, http: aiohttp.ClientSession, public_url: str, internal: str = "") -> None:
        self._http = http
        self._public = public_url.rstrip("/")
        self._internal = internal.rstrip("/") or self._public

    def address(self, url: str) -> str:
        """Where to read `url`. Raises `Refused` unless it lies under the platform's public address."""
        ours, theirs = urlsplit(self._public), urlsplit(url)
        path = unquote(theirs.path)
        inside = (
            theirs.scheme in {"http", "https"}
            and (theirs.scheme, theirs.hostname, _port(url)) == (ours.scheme, ours.hostname, _port(self._public))
            and theirs.username is None
            and theirs.password is None
            and path.startswith(unquote(ours.path) + "/")
            and not {"..", "."} & set(path.split("/"))
            and "\\" not in path
        )
        if not inside:
            raise Refused("the document does not lie on this platform")
        query = f"?{theirs.query}" if theirs.query else ""
        return self._internal + theirs.path.removeprefix(ours.path) + query

    async def fetch(self, url: str) -> bytes:
        """The PDF. Raises `Refused`, `Withdrawn` or `TryLater`."""
        address, started, outcome = self.address(url), time.perf_counter(), "failed"
        try:
            content = await self._read(address)
            outcome = "read"
            return content
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TryLater(f"document not read: {error!r}"[:300]) from error
        finally:
            metrics.DOCUMENT_SECONDS.labels(outcome).observe(time.perf_counter() - started)

    async def _read(self, address: str) -> bytes:
        async with self._http.get(address, timeout=TIMEOUT, allow_redirects=False) as answer:
            if answer.status == 410:
                raise Withdrawn("the document was withdrawn")
            if answer.status != 200:
                raise TryLater(f"document not read: {answer.status}")
            content = b""
            async for part in answer.content.iter_chunked(64 * 1024):
                content += part
                if len(content) > LARGEST:
                    raise Refused("the document is too large to be mailed")
        if not content.startswith(b"%PDF-"):
            raise TryLater("the document is no PDF")
        return content


def _port(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
