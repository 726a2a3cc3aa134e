"""What is asked of a service, built from the checked parts of an address.

The service is chosen from, and the path is written anew by, the same parts: each is cut from the path as it was sent,
decoded once and checked. Nothing that was sent is pasted behind a service's address as it came.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from services.gateway.errors import BadRequest, NoSuchService

INTERNAL = frozenset({"metrics", "healthz", "readyz", "statusz", "docs", "redoc", "openapi.json"})
"""Paths of a service that only its operators see."""
PREFIX = b"/api/"
PLAIN = re.compile(rb"[A-Za-z0-9_~!$&'()*+,;=:@/-]*")
"""Characters that mean themselves in a path; with dots and `%` a path takes the long way."""
QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*")
ESCAPES = re.compile(rb"%(?![0-9A-Fa-f]{2})")
KEPT = "!$&'()*+,;=:@~"
"""What RFC 3986 lets stand in a segment besides letters, digits, dots, dashes and underscores."""


def split(raw_path: bytes) -> tuple[str, str]:
    """The name of the service in a path below `/api/`, and the path to ask there, encoded.

    Raises `BadRequest`, `NoSuchService`. Whether there is a service of that name is not looked at.
    """
    name, _, rest = raw_path.removeprefix(PREFIX).partition(b"/")
    if not raw_path.startswith(PREFIX) or b"%" in name:
        raise _unusual()
    if not name.isalpha() or not name.islower():
        raise NoSuchService("There is no service at this address; see /docs.")
    if PLAIN.fullmatch(rest):
        path = rest.decode("ascii")
        first = rest.lstrip(b"/").partition(b"/")[0].decode("ascii")
    else:
        parts = [_part(part) for part in rest.split(b"/")]
        path = "/".join(quote(part, safe=KEPT) for part in parts)
        first = next((part for part in parts if part), "")
    if first.lower() in INTERNAL:
        raise NoSuchService("There is nothing at this address; see /docs.")
    return name.decode("ascii"), "/" + path


def query_of(query_string: bytes) -> str:
    """The query as it may be passed on. Raises `BadRequest`."""
    if not QUERY.fullmatch(query_string):
        raise BadRequest("The query is written in an unusual way: encode what is not ASCII.")
    return query_string.decode("ascii")


def _part(sent: bytes) -> str:
    """One segment of a path, decoded once."""
    if ESCAPES.search(sent) or not sent.isascii():
        raise _unusual()
    try:
        part = unquote_to_bytes(sent).decode()
    except UnicodeDecodeError:
        raise _unusual() from None
    if part in (".", "..") or "/" in part or "\\" in part or not part.isprintable():
        raise _unusual()
    return part


def _unusual() -> BadRequest:
    return BadRequest("The path is written in an unusual way: no dots, encoded slashes, backslashes or controls.")
