"""Checks signatures of the Standard Webhooks specification (HMAC-SHA256, version v1) over the raw body.

The few lines of the specification instead of its Python library, which brings an HTTP client of its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence

from services.orders.payments.provider import BadSignature

TOLERANCE = 300
"""Seconds that a webhook's timestamp may be away from our clock, so that a recorded one cannot be replayed later."""


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float | None = None) -> str:
    """The message's id, if one of `secrets` signed it and it is fresh. Raises `BadSignature`."""
    sent = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, signatures = (sent.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not (message_id and timestamp and signatures):
        raise BadSignature("the headers webhook-id, webhook-timestamp and webhook-signature are needed")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise BadSignature("webhook-timestamp is no count of seconds")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE:
        raise BadSignature(f"webhook-timestamp is more than {TOLERANCE} seconds away from now")
    offered = [value for version, _, value in (part.partition(",") for part in signatures.split()) if version == "v1"]
    signed = f"{message_id}.{timestamp}.".encode() + body
    for secret in secrets:
        expected = base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest())
        if any(hmac.compare_digest(expected, value.encode()) for value in offered):
            return message_id
    raise BadSignature("no signature matches")


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is whsec_ and base64, or any text without that prefix") from error
