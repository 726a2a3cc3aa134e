"""Which errors pass by themselves, and which are no fault of the record: worth another attempt, never a dead letter."""

from __future__ import annotations

import asyncpg
from sqlalchemy import exc

READ_ONLY = "25006"
"""SQLSTATE of a primary that has become a standby, and of a server whose disk is almost full."""
PASSING_STATES = ("08", READ_ONLY, "40", "53", "55", "57", "58")
"""SQLSTATE classes: connection, rollback (deadlock, serialisation), resources, locks, operator, system."""
RECORDS_STATES = ("21", "22", "23", "44", "P0")
"""SQLSTATE classes that speak of the data: cardinality, bad values, broken constraints, a view's check, a RAISE. All
others speak of us or of the server, and another record would meet the same: a column that no migration has brought yet,
or has taken, a missing right, a changed password."""
UNFILLED = "23502"
"""SQLSTATE of a column that must not be empty. Contracts demand of a record all that is stored of it, so what is empty
is a column that we do not know yet, or that we forgot to fill: the next record would meet the same. A foreign key, a
unique value and a check may be about what this one record says, and stay its fault."""


class Permanent(Exception):
    """Raised by a handler for an event that no other attempt can handle: it becomes a dead letter at once."""


def is_passing(error: BaseException) -> bool:
    """True for a lost connection, a deadlock, a lock or statement time-out, a full pool and the like."""
    state = _state(error)
    if state is not None:
        return state.startswith(PASSING_STATES)
    return isinstance(error, exc.DBAPIError | exc.TimeoutError | asyncpg.InterfaceError | OSError | TimeoutError)


def is_no_records_fault(error: BaseException) -> bool:
    """True for what passes, and for what somebody must mend in us or in the database: no record is to blame for it."""
    state = _state(error)
    return is_passing(error) or (state is not None and (state == UNFILLED or not state.startswith(RECORDS_STATES)))


def _state(error: BaseException) -> str | None:
    """The SQLSTATE, unless the connection was lost, which is worth more than what came last."""
    if isinstance(error, exc.DBAPIError):
        if error.connection_invalidated or isinstance(error, exc.InterfaceError):
            return None
        return getattr(error.orig, "sqlstate", None)
    return getattr(error, "sqlstate", None) if isinstance(error, asyncpg.PostgresError) else None
