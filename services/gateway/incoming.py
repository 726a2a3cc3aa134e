"""Reads the head of a request once: what the gateway needs of it, and what a service may see of it.

A service sees no credentials of the client, no header that only the gateway may set, nothing that belongs to one
connection (RFC 9110 §7.6.1), and no name with an underscore: those are read as dashes by some software. Ids for
tracing are random but no secrets, so they come from the cheap generator.
"""

from __future__ import annotations

import re
from random import getrandbits

from starlette.types import Scope

from chassis.problems import HeadersTooLarge
from chassis.tracing import TRACEPARENT
from services.gateway.errors import BadRequest

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"expect",
    }
)
PLAIN = frozenset({b"accept", b"accept-encoding", b"accept-language", b"content-type", b"user-agent", b"if-match"})
"""The usual ones that pass as they are, known at the first look."""
READ = frozenset(
    {
        b"authorization",
        b"cookie",
        b"host",
        b"content-length",
        b"origin",
        b"sec-fetch-site",
        b"x-organisation",
        b"x-csrf-token",
        b"x-request-id",
        b"traceparent",
        b"x-forwarded-for",
    }
)
ONCE = frozenset({b"authorization", b"host", b"content-length", b"x-organisation", b"x-csrf-token", b"origin"})
OURS = (b"x-forwarded-", b"x-footlights-", b"x-real-ip", b"forwarded", b"ce-")

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class Incoming:
    """The head of one request."""

    __slots__ = ("cookies", "forward", "has_body", "length", "method", "path", "read", "request_id", "traceparent")

    def __init__(self, scope: Scope, *, max_header_bytes: int, max_headers: int) -> None:
        """Raises `BadRequest`, `HeadersTooLarge`."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.read: dict[bytes, bytes] = {}
        self.cookies: list[bytes] = []
        self.forward: list[tuple[bytes, bytes]] = []
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        named: frozenset[bytes] = HOP_BY_HOP
        chunked, size = False, 0
        for name, value in headers:
            size += len(name) + len(value)
            if name in PLAIN:
                self.forward.append((name, value))
            elif name in READ:
                self._read(name, value)
            elif name in HOP_BY_HOP:
                if name == b"connection" and (listed := _listed(value)):
                    named = named | listed
                chunked = chunked or name == b"transfer-encoding"
            elif b"_" not in name and not name.startswith(OURS):
                self.forward.append((name, value))
        if len(headers) > max_headers or size > max_header_bytes:
            raise HeadersTooLarge(f"Send at most {max_headers} headers with {max_header_bytes} bytes in all.")
        if named is not HOP_BY_HOP:
            self.forward = [header for header in self.forward if header[0] not in named]
        self.length = self._length()
        self.has_body = chunked or bool(self.length)
        self.request_id = self._request_id()
        self.traceparent = self._traceparent()

    def text(self, name: bytes) -> str | None:
        value = self.read.get(name)
        return None if value is None else value.decode("latin-1").strip()

    def cookie(self, name: str) -> str | None:
        """The value of a cookie; the first one if a client sends several of this name."""
        if not self.cookies:
            return None
        start = name + "="
        for part in b"; ".join(self.cookies).decode("latin-1").split(";"):
            part = part.strip()
            if part.startswith(start):
                return part[len(start) :]
        return None

    def _read(self, name: bytes, value: bytes) -> None:
        if name == b"cookie":
            self.cookies.append(value)
        elif name == b"x-forwarded-for" and name in self.read:
            self.read[name] += b"," + value
        elif name in ONCE and name in self.read:
            raise BadRequest(f"Send the header {name.decode()} only once.")
        else:
            self.read[name] = value

    def _length(self) -> int | None:
        value = self.read.get(b"content-length")
        if value is None:
            return None
        if not value.isdigit() or len(value) > 15:
            raise BadRequest("Content-Length is not a number.")
        return int(value)

    def _request_id(self) -> str:
        value = self.read.get(b"x-request-id")
        if value is not None and REQUEST_ID.fullmatch(value):
            return value.decode()
        return f"{getrandbits(128):032x}"

    def _traceparent(self) -> str:
        value = self.text(b"traceparent")
        if value is not None and TRACEPARENT.fullmatch(value):
            return value
        return f"00-{getrandbits(128) | 1:032x}-{getrandbits(64) | 1:016x}-01"


def _listed(connection: bytes) -> frozenset[bytes]:
    """Headers that `Connection` names as belonging to this connection alone."""
    names = {part.strip().lower() for part in connection.split(b",")}
    return frozenset(names - {b"", b"close", b"keep-alive", b"upgrade"})
