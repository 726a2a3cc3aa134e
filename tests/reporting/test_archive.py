"""The archive keeps what reports may need of an event, and nothing that says who it was."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from chassis.db import Database
from contracts.envelope import EventData
from contracts.orders import Customer, OrderPlaced, Participant
from deploy.checks.examples import example_event
from services.reporting import archive, projection
from services.reporting.consumers import project
from tests.events import OrderStory, event, organisation_registered
from tests.reporting.tables import contents

PERSONAL = {"customer", "participant", "holder", "recipient", "documents", "order_url", "reason", "access_url"}
"""Fields of events that hold a person, a link that shows one, or what somebody typed."""


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def persons(value: Any) -> Iterator[str]:
    """The texts of an event that must not be kept."""
    if isinstance(value, list):
        for each in value:
            yield from persons(each)
    if isinstance(value, dict):
        for name, each in value.items():
            if name in PERSONAL or name.startswith("staff_"):
                yield from texts(each)
            else:
                yield from persons(each)


@pytest.mark.parametrize("kind", projection.HANDLED, ids=lambda kind: kind.event_type)
def test_what_is_kept_of_an_event_gives_the_same_rows_and_names_nobody(kind: type[EventData]) -> None:
    example = example_event(kind)
    kept = archive.person_free(example.data)
    again = event(kind.from_json(json.dumps(kept).encode()), example.organisation, version=3, time=example.time)
    rows = projection.rows_of([again])
    for table, expected in projection.rows_of([example]).items():
        assert [row | {"event_id": None} for row in rows[table]] == [row | {"event_id": None} for row in expected]
    forbidden = {one for one in persons(example.data.model_dump(mode="json")) if len(one) > 2}
    ids = {one for one in forbidden if len(one) == 36 and one.count("-") == 4}
    assert not (forbidden - ids) & set(texts(kept))


async def test_a_field_that_is_not_listed_is_not_kept(db: Database) -> None:
    """Whatever a person types anywhere: in a name, a phone, a participant."""
    owner = uuid4()
    story = OrderStory(owner, customer=Customer(name="Zyxwv\x00", email="zyxwv@example.com", phone="Zyxwv"))
    placed = story.placed()
    lines = tuple(line.model_copy(update={"participant": Participant(name="Zyxwv")}) for line in placed.data.lines)
    data = placed.data.model_copy(update={"lines": lines, "order_url": "https://example.com/zyxwv"})
    assert isinstance(data, OrderPlaced)
    async with db.as_worker() as session:
        await project(session, [organisation_registered(owner), event(data, owner)])
    async with db.as_worker() as session:
        kept = list(await session.scalars(text("SELECT t::text FROM fact t")))
    assert len(kept) == 2
    assert "zyxwv" not in "".join(kept).lower()


async def test_an_event_is_kept_once_in_whatever_order(db: Database) -> None:
    story = OrderStory(uuid4())
    story.placed()
    story.paid()
    story.refund()
    events = [one for one in story.events if isinstance(one.data, projection.HANDLED)]
    again = [*events, *events]
    random.Random(1).shuffle(again)
    async with db.as_worker() as session:
        await project(session, events)
        await archive.keep(session, again)
        assert await session.scalar(text("SELECT count(*) FROM fact")) == len(events)
        assert await contents(session)
