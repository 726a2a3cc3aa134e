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
from zxcvbn import zxcvbn

from services.gateway.errors import WeakPassword

SHORTEST, LONGEST = 8, 200
ONE_TIME_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"

LOOKED_AT = 72
"""Characters that are looked at for what guessers try first; looking takes 50 ms at most then."""
WEAKEST = 2
"""Of zxcvbn's 0 to 4: a million guesses in the order of cleverness do not find it."""

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
_nobody = _hasher.hash(secrets.token_hex())


async def hash_password(password: str) -> str:
    """Takes about 50 ms."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def require_strong(password: str, *about: str | None) -> None:
    """Raises `WeakPassword` for a common password, a variation of one, or of what is known `about` the person."""
    known = [part for text in about if text for part in (text, *text.replace("@", " ").split())]
    score = await asyncio.get_running_loop().run_in_executor(_threads, _strength, password, [*known, "footlights"])
    if score < WEAKEST:
        raise WeakPassword(
            "It is among the first that somebody would try. Take a few words that do not belong together, or let a"
            " password manager make one."
        )


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


def _strength(password: str, known: list[str]) -> int:
    score: int = zxcvbn(password[:LOOKED_AT], user_inputs=known, max_length=LOOKED_AT)["score"]
    return score


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
