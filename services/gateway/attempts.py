"""How often a password may be guessed, in the memory of this process."""

from __future__ import annotations

import math

from services.gateway.errors import TooManyAttempts
from services.gateway.limits import Buckets

WINDOW_SECONDS = 15 * 60
WIDER = 5


class Attempts:
    """Counts attempts to sign in, and gives back the successful ones.

    The tight limit is for an account from one address, so that a stranger cannot lock a person out by guessing; the
    wide ones, for an account from anywhere and for an address with any account, stop a patient or distributed guess.
    """

    def __init__(self, failures: int) -> None:
        self._pair = Buckets(failures / WINDOW_SECONDS, failures)
        self._wide = Buckets(failures * WIDER / WINDOW_SECONDS, failures * WIDER)

    def start(self, email: str, address: str) -> None:
        """Raises `TooManyAttempts`. Counted before the password is checked: guesses at the same time count too."""
        wait = max(
            self._pair.wait((email, address)), self._wide.wait(("email", email)), self._wide.wait(("from", address))
        )
        if wait:
            raise TooManyAttempts("Too many attempts to sign in. Wait, then try again.", retry_after=math.ceil(wait))
        self._pair.take((email, address))
        self._wide.take(("email", email))
        self._wide.take(("from", address))

    def succeeded(self, email: str, address: str) -> None:
        self._pair.refill((email, address))
        self._wide.give(("email", email))
        self._wide.give(("from", address))
