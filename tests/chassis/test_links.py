"""Signed links open one thing, for a time, and are the same whenever they are made for the same moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from pydantic import SecretStr

from chassis.links import Links
from chassis.problems import Unauthorised

LINKS = Links(SecretStr("a secret of thirty-two characters!"))
SUBJECT, ORGANISATION = uuid4(), uuid4()
NOW = datetime.now(UTC)


def test_a_link_since_a_moment_is_the_same_whenever_it_is_made() -> None:
    """It is part of what is asked under an idempotency key."""
    made = set()
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(3):
            made.add(LINKS.sign("order", SUBJECT, ORGANISATION, ttl_seconds=60, since=NOW))
            clock.shift(timedelta(seconds=5))
    assert len(made) == 1


@pytest.mark.parametrize("since", [None, NOW, NOW - timedelta(seconds=30)])
def test_a_link_opens_its_thing_until_its_time_is_over(since: datetime | None) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        token = LINKS.sign("order", SUBJECT, ORGANISATION, ttl_seconds=60, since=since)
        link = LINKS.verify("order", token)
        assert (link.subject, link.organisation) == (SUBJECT, ORGANISATION)
        left = 60 - (NOW - (since or NOW)).total_seconds()
        clock.shift(left - 2)
        LINKS.verify("order", token)
        clock.shift(3)
        with pytest.raises(Unauthorised, match="expired"):
            LINKS.verify("order", token)


def test_a_link_opens_nothing_else() -> None:
    token = LINKS.sign("order", SUBJECT, ORGANISATION, ttl_seconds=60)
    forged = Links(SecretStr("another secret of thirty-two char")).sign("order", SUBJECT, ORGANISATION, ttl_seconds=60)
    for kind, shown in (("document", token), ("order", forged), ("order", token[:-2]), ("order", "")):
        with pytest.raises(Unauthorised, match="not valid"):
            LINKS.verify(kind, shown)
