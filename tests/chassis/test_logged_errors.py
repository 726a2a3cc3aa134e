"""What is logged of an error: which statement and which rule, and nothing of the people whose data it was about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from chassis.db import Database
from chassis.logging import configure, get_logger
from deploy.platform.databases import DatabaseUrls
from tests.chassis import probe
from tests.harness import Kafka

MARK = "mark-of-a-person"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the handler of `configure` writes; the test's own handlers come back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers = before
    root.setLevel(level)


def log_to(stream: io.StringIO, settings: probe.Settings) -> None:
    configure(settings)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO tally (customer, organisation, names) SELECT '{0}', '{0}', ARRAY[:mark] FROM generate_series(1,2)",
        "SELECT CAST(:mark AS uuid)",
        "SELECT 1 FROM tally WHERE names = ARRAY[:mark] AND nothing",
        r"""DO $$ BEGIN RAISE unique_violation USING DETAIL = E'Key (a)=("x"\nmark-of-a-person)'; END $$""",
    ],
)
async def test_errors_of_the_database_name_nobody(
    written: io.StringIO, urls: DatabaseUrls, kafka: Kafka, form: str, statement: str
) -> None:
    settings = probe.settings_for(urls, kafka, log_format=form)
    log_to(written, settings)
    db = Database(settings)
    try:
        async with db.as_worker() as session:
            parameters = {"mark": MARK} if ":mark" in statement else {}
            await session.execute(text(statement.format(probe.ORGANISATION)), parameters)
    except Exception as error:
        get_logger("test").exception("failed", error=repr(error), words=str(error))
        get_logger("test").warning(str(error))
    finally:
        await db.close()
    lines = written.getvalue()
    assert "failed" in lines
    if form == "json":
        assert all(json.loads(line) for line in lines.splitlines()), "still JSON"
        assert MARK not in lines
    elif "RAISE" not in statement:
        assert MARK not in lines
