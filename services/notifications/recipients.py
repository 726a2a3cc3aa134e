"""How recipients are named outside the table of messages."""

from __future__ import annotations

import hashlib
import re

ADDRESS = re.compile(r"[^\s<>:;,()\"']+@[^\s<>:;,()\"']+")


def recipient_hash(address: str) -> str:
    """SHA-256 of a normalised address, for events and logs."""
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()


def without_addresses(words: str) -> str:
    """What a server said, for events: servers like to repeat whom they refuse."""
    return ADDRESS.sub("…", words)
