"""Passwords: argon2id, computed in threads so that the event loop never waits for a hash.

At most as many hashes at once as there are threads: a storm of sign-ins queues here instead of taking all memory
(64 MiB a hash) and both cores.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 8, 200
ONE_TIME_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
_nobody = _hasher.hash(secrets.token_hex())


async def hash_password(password: str) -> str:
    """Takes about 50 ms."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password fits. Without a stored hash a dummy is checked: an unknown account takes as long."""
    fits = await asyncio.get_running_loop().run_in_executor(_threads, _verify, stored or _nobody, password)
    return fits and stored is not None


def is_outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def one_time_password() -> str:
    """About 59 bits, without letters that look alike: it is read out by telephone (ROL-13)."""
    return "-".join("".join(secrets.choice(ONE_TIME_ALPHABET) for _ in range(4)) for _ in range(3))


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
