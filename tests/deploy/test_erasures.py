"""The list of erasures, which outlives restored databases."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from chassis.persons import Person
from deploy.commands.erasures import Erasures, WrongKey

SECRET = SecretStr("the erasure key of this test, long enough")
OLENA = Person(frozenset({"olena@example.com"}), frozenset({uuid4()}), frozenset({uuid4(), uuid4()}))
TARAS = Person(emails=frozenset({"taras@example.com"}))


def test_who_was_erased_since_a_backup_is_known(tmp_path: Path) -> None:
    listed = Erasures(tmp_path / "new" / "erasures", SECRET)
    listed.note(OLENA)
    backup = datetime.now(UTC)
    listed.note(TARAS)
    listed.note(OLENA)
    assert listed.since(backup) == [TARAS, OLENA]
    assert listed.since(backup - timedelta(days=1)) == [OLENA, TARAS, OLENA]
    assert listed.since(datetime.now(UTC)) == []


def test_the_list_names_nobody_to_others(tmp_path: Path) -> None:
    listed = Erasures(tmp_path / "erasures", SECRET)
    listed.note(OLENA)
    assert stat.S_IMODE(listed.file.stat().st_mode) == 0o600
    written = listed.file.read_text()
    assert "olena" not in written
    assert not [one for one in (*OLENA.accounts, *OLENA.orders) if str(one) in written]
    with pytest.raises(WrongKey):
        Erasures(listed.file, SecretStr("another key of this test, long enough")).since(
            datetime.min.replace(tzinfo=UTC)
        )


def test_without_a_list_nothing_is_pretended(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="erasures"):
        Erasures(tmp_path / "erasures", SECRET).since(datetime.now(UTC))
