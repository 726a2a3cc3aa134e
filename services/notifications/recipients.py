"""How recipients are named outside the table of messages."""

from __future__ import annotations

import hashlib


def recipient_hash(address: str) -> str:
    """SHA-256 of a normalised address, for events and logs."""
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()
