"""What an older event says of a person who was erased is taken out of it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, SecretStr
from sqlalchemy import text

from chassis import forgotten
from chassis.db import Database
from contracts.accounts import AccountState, LetterRequested
from contracts.crm import CustomerState
from contracts.envelope import EventData
from contracts.orders import Customer, Participant
from contracts.ticketing import Holder
from contracts.topics import TOPICS
from deploy.checks.examples import example_event
from tests.events import OrderStory, event

KEY = SecretStr("a key of the tests, of 32 characters")
WITH_NAMES = {topic.name for topic in TOPICS if topic.names}
PERSONS = (AccountState, LetterRequested, CustomerState, Customer, Participant, Holder)


def named(value: Any) -> Iterator[str]:
    """Names, addresses and numbers of persons in an event."""
    if isinstance(value, PERSONS):
        yield from (each for each in (value.name, getattr(value, "email", None), getattr(value, "phone", None)) if each)
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from named(getattr(value, name))
    elif isinstance(value, tuple):
        for each in value:
            yield from named(each)


@pytest.mark.parametrize("kind", [each for each in EventData.known.values() if each.topic in WITH_NAMES])
def test_every_event_with_names_can_do_without_them(kind: type[EventData]) -> None:
    data = example_event(kind).data
    keys = forgotten.keys_of(data)
    rest = forgotten.without(data, keys)
    assert rest is None or not list(named(rest)), "by all that they are known by"
    assert forgotten.without(data, {("email", "somebody@else.example")}) is data, "others are left alone"
    if list(named(data)):
        assert rest is not data


def test_somebody_without_an_address_goes_with_the_order() -> None:
    other = Participant(name="Other", email="other@example.com")
    story = OrderStory(uuid4(), seats=3, customer=Customer(name="Olena", phone="+380671234567"))
    nameless = Participant(name="Nameless")
    lines = tuple(
        line.model_copy(update={"participant": person})
        for line, person in zip(story.lines, (other, nameless, None), strict=True)
    )
    story.lines = lines
    data = story.placed().data
    rest = forgotten.without(data, {forgotten.order_key(story.order_id)})
    assert rest is not None
    assert list(named(rest)) == ["Other", "other@example.com"]


def test_an_account_alone_is_taken_from_an_order_of_somebody_else() -> None:
    account = uuid4()
    petro = Customer(name="Petro", email="petro@example.com", account_id=account)
    data = OrderStory(uuid4(), customer=petro).placed().data
    rest: Any = forgotten.without(data, {forgotten.account_key(account)})
    assert rest.customer == petro.model_copy(update={"account_id": None})


async def test_only_what_is_older_is_taken_out(db: Database) -> None:
    now = datetime.now(UTC)
    olena = Customer(name="Olena", email="Olena@Example.com")
    before, after, other = [
        event(OrderStory(uuid4(), customer=one).placed().data, uuid4(), time=at)
        for one, at in (
            (olena, now - timedelta(days=1)),
            (olena, now + timedelta(days=1)),
            (Customer(name="Petro", email="petro@example.com"), now - timedelta(days=1)),
        )
    ]
    account = event(example_event(EventData.known["accounts.account.registered.v1"]).data, None, time=before.time)
    assert isinstance(account.data, AccountState)
    async with db.as_worker() as session:
        assert await forgotten.take_out(session, KEY, [before]) == [before], "nobody was erased"
        keys = [forgotten.email_key(" OLENA@example.com"), forgotten.account_key(account.data.account_id)]
        await forgotten.remember(session, KEY, keys)
        await forgotten.remember(session, KEY, keys)
        told = await forgotten.take_out(session, KEY, [before, after, other, account])
        stored = str(list(await session.scalars(text("SELECT f::text FROM forgotten f"))))
    assert told[1:] == [after, other, None]
    assert told[0] is not None
    assert (told[0].id, told[0].time, told[0].data.customer) == (before.id, before.time, None)  # type: ignore[attr-defined]
    assert "olena" not in stored.lower()
    async with db.as_worker() as session:
        # With another key nobody is known.
        assert await forgotten.take_out(session, SecretStr("another key of 32 characters ...."), [before]) == [before]
