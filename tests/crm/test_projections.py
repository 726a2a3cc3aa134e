"""Of what another service tells, the newest is kept, whatever comes last."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations
from uuid import UUID, uuid4

import pytest

from chassis.db import Database
from chassis.projections import keep_newest
from services.crm.models import Account


def row(account: UUID, version: int, name: str) -> dict[str, object]:
    return {
        "account_id": account,
        "email": "a@example.com",
        "email_key": "a@example.com",
        "name": name,
        "phone": None,
        "version": version,
        "event_at": datetime(2026, 1, 1, tzinfo=UTC),
    }


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
async def test_the_newest_is_kept(db: Database, order: tuple[int, ...]) -> None:
    account, other = uuid4(), uuid4()
    kept = []
    async with db.as_worker() as session:
        await keep_newest(session, Account, row(other, 1, "other"))
        kept = [await keep_newest(session, Account, row(account, version, f"name\0 {version}")) for version in order]
    assert kept == [version >= max(order[: n + 1]) for n, version in enumerate(order)]
    async with db.as_worker() as session:
        found, untouched = await session.get(Account, account), await session.get(Account, other)
    assert found is not None
    assert untouched is not None
    assert (found.name, found.version, untouched.name) == ("name 3", 3, "other")
    # The same version again is no older one: a rebuild writes it once more.
    async with db.as_worker() as session:
        assert await keep_newest(session, Account, row(account, 3, "again"))
