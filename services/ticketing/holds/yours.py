"""Which seats somebody holds already: by their account, or by the token of a hold that another tab has."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from chassis.db import Database
from chassis.edge import Caller
from services.ticketing.holds.tokens import HoldTokens

HEADER = b"hold-token"

HOLDS = text("""
    SELECT id FROM hold
    WHERE account_id = CAST(:account_id AS uuid) AND show_id = CAST(:show_id AS uuid) AND status IN ('active', 'lapsed')
""")
SEATS = text("""
    SELECT seat FROM held_seat
    WHERE show_id = CAST(:show_id AS uuid) AND seat = ANY(CAST(:seats AS text[]))
      AND hold_id = ANY(CAST(:holds AS uuid[])) AND until < 'infinity'
    ORDER BY seat
""")


class Holders:
    """Whose holds are whose. Staff hold for others, so an account of staff has none."""

    def __init__(self, db: Database, tokens: HoldTokens) -> None:
        self._db = db
        self._tokens = tokens

    async def holds_of(self, caller: Caller, token: str | None, show_id: UUID) -> set[UUID] | None:
        """The holds of a show that the caller has; None for somebody whom nothing tells from others."""
        held = self._tokens.hold_of(token) if token else None
        if held is None and (caller.account_id is None or caller.is_staff):
            return None
        holds = set() if held is None else {held}
        if caller.account_id is not None and not caller.is_staff:
            async with self._db.as_worker() as session:
                found = await session.scalars(HOLDS, {"account_id": caller.account_id, "show_id": show_id})
                holds.update(found)
        return holds

    async def among(self, caller: Caller, token: str | None, show_id: UUID, seats: Sequence[str]) -> list[str]:
        """Those of the seats that the caller holds."""
        holds = await self.holds_of(caller, token, show_id)
        if not holds:
            return []
        async with self._db.as_worker() as session:
            found = await session.scalars(SEATS, {"show_id": show_id, "seats": list(seats), "holds": list(holds)})
            return list(found)
