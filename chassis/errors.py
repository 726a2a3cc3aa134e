"""Which errors pass by themselves: worth another attempt, never a dead letter."""

from __future__ import annotations

import asyncpg
from sqlalchemy import exc

PASSING_STATES = ("08", "40", "53", "55", "57", "58")
"""SQLSTATE classes: connection, rollback (deadlock, serialisation), resources, locks, operator, system."""


class Permanent(Exception):
    """Raised by a handler for an event that no other attempt can handle: it becomes a dead letter at once."""


def is_passing(error: BaseException) -> bool:
    """True for a lost connection, a deadlock, a lock or statement time-out, a full pool and the like."""
    if isinstance(error, exc.DBAPIError):
        if error.connection_invalidated or isinstance(error, exc.InterfaceError):
            return True
        state = getattr(error.orig, "sqlstate", None)
        return state is None or state.startswith(PASSING_STATES)
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(PASSING_STATES)
    return isinstance(error, exc.TimeoutError | asyncpg.InterfaceError | OSError | TimeoutError)
