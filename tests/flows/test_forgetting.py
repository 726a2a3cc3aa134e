"""A person asks what is known of them, and to be forgotten."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from sqlalchemy import text

from chassis.db import Database
from deploy.commands import persons
from services.orders.settings import Settings
from tests.flows.house import House, Order
from tests.flows.people import Person
from tests.harness import eventually

SECRET = Settings().erasure_key
TABLES = """
    SELECT c.relname FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1
"""
COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped AND atttypid = 'bytea'::regtype
"""


@asynccontextmanager
async def opened(house: House) -> AsyncIterator[persons.Databases]:
    urls = {name: app.state.settings.database_worker_url for name, app in house.platform.apps.items()}
    async with persons.databases(urls) as found:
        yield found


def signs(person: Person) -> set[str]:
    """What would give a person away, in letters that every way to write bytes leaves as they are."""
    assert person.phone
    return {person.name.split()[0].lower(), person.email.lower(), person.phone.removeprefix("+380")}


async def said(db: Database, marks: set[str]) -> list[str]:
    """Tables of a database that say any of this, in whatever column, and in bytes."""
    found = []
    async with db.as_worker() as session:
        for name in list(await session.scalars(text(TABLES))):
            raw = list(await session.scalars(text(COLUMNS), {"name": name}))
            plain = " || ' ' || ".join(["t::text", *(f"coalesce(encode({column}, 'escape'), '')" for column in raw)])
            for row in await session.scalars(text(f'SELECT {plain} FROM "{name}" t')):
                if any(mark in row.lower() for mark in marks):
                    found.append(f"{name}: {row[:3000]}")
                    break
    return found


async def everywhere(house: House, marks: set[str]) -> dict[str, list[str]]:
    found = {name: await said(app.state.db, marks) for name, app in house.platform.apps.items()}
    return {name: tables for name, tables in found.items() if tables}


async def life(house: House, person: Person, friend: Person) -> tuple[Order, Order]:
    """A person with an account, a paid course and a ticket that a friend bought, of whom staff have written."""
    await person.register()
    course = await house.ordered(person, await house.offer("Режисура", group="Осінь 2026"))
    await course.pay()
    await course.becomes(payment_status="money_received")
    for path in ("edit", "note"):
        if path == "edit":
            await house.desk.edit(course.path, {"customer": {**person.contact, "name": person.name + " Junior"}})
            await house.desk.edit(course.path, {"customer": person.contact})
        else:
            await house.desk.post(f"{course.path}/notes", {"text": f"{person.name} will call back"})
    friends = await house.bought(friend, "1-1", "1-2", holders={"1-1": person})
    customer = await known(house, person)
    await house.desk.edit(f"/api/crm/customers/{customer}", {"address": f"at {person.name}'s"})
    await house.desk.edit(f"/api/crm/customers/{customer}", {"reason": person.name}, "/blacklist", "PUT")
    await eventually(lambda: len(house.platform.mail.to(person.email)) >= 2, timeout=30)
    return course, friends


async def known(house: House, person: Person, orders: int = 1) -> str:
    async def found() -> str:
        items = (await house.desk.get(f"/api/crm/customers?search={person.email}"))["items"]
        assert [item["orders"] for item in items] == [orders]
        return items[0]["customer_id"]

    return await eventually(found, timeout=30)


async def settled(house: House) -> None:
    """Nothing waits to be told, and everything that was told is handled."""

    async def quiet() -> bool:
        for app in house.platform.apps.values():
            async with app.state.db.as_worker() as session:
                assert await session.scalar(text("SELECT count(*) FROM outbox")) == 0
        return True

    await eventually(quiet, timeout=30)


@pytest.mark.timeout(300)
async def test_a_person_is_given_what_is_known_and_is_forgotten(house: House, capfd: Any) -> None:
    mark, number = uuid4().hex[:8], f"{uuid4().int % 10**7:07}"
    person = house.person(f"Zyxw{mark} Їжак", f"+38067{number}")
    friend = house.person(f"Vriend{mark}", f"+38050{number}")
    course, friends = await life(house, person, friend)
    async with opened(house) as found:
        given = await persons.export(found, person.email.upper())
        assert {"gateway", "orders", "ticketing", "notifications", "crm"} == set(given["services"])
        assert str(person.phone) in json.dumps(given, default=str)
        assert friend.email not in json.dumps(given, default=str), "what is known of others is not theirs"

        identity = await persons.identify(found, person.email)
        assert {str(order) for order in identity.orders} == {course.id}
        with pytest.raises(persons.CannotErase, match=r"the show of order .* is to come, until 2094-03-08"):
            await persons.erase(found, identity, SECRET)
        await friends.cancel()
        await friends.becomes(payment_status="money_refunded")
        await settled(house)
        told = await records_of(house, person)
        assert len(told) > 5
        await persons.erase(found, identity, SECRET)
        assert await everywhere(house, signs(person)) == {}
        control = await everywhere(house, {friend.email})
        assert {"orders", "ticketing", "notifications", "crm"} <= set(control), "others are not touched"

        # History and money stay: staff open the order, its history and its customer, and the reports do not change.
        card = await course.card()
        assert (card["customer"], card["payment_status"]) == (None, "money_received") or not card["customer"]["email"]
        assert "paid" in await course.history()

        # What still travels does not bring them back: all of it comes again to services that remember none of it.
        await again(house, told)
        assert await everywhere(house, signs(person)) == {}

        # Who comes again is somebody new, and is served.
        house.platform.mail.clear()
        await (await house.ordered(person, await house.offer("Вокал"))).pay()
        await eventually(lambda: house.platform.mail.to(person.email), timeout=30)
        await known(house, person)
        assert len((await persons.identify(found, person.email)).orders) == 1

        # As after a restored backup, they are here though they were erased: the list of erasures is gone through again.
        await settled(house)
        assert await persons.repeat(found, [identity], SECRET) == []
        assert await everywhere(house, signs(person)) == {}
    logged = "".join(capfd.readouterr())
    assert not [line for line in logged.splitlines() if any(one in line.lower() for one in signs(person))]


async def records_of(house: House, person: Person) -> list[Any]:
    """Every record of the topics that names the person."""
    kafka = house.platform.apps["orders"].state.settings.kafka_bootstrap_servers
    topics = ("accounts.account", "orders.order", "orders.enrolment", "ticketing.ticket", "crm.customer")
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        end = await consumer.end_offsets(consumer.assignment())
        found: list[Any] = []
        while any([await consumer.position(one) < last for one, last in end.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [one for one in records if person.email.encode() in one.value.lower()]
        return found
    finally:
        await consumer.stop()


async def again(house: House, records: list[Any]) -> None:
    """The records once more, to services whose inbox has forgotten them; returns when they were handled."""
    apps = house.platform.apps
    ids = [dict(one.headers)["ce_id"].decode() for one in records]
    readers = {name: apps[name].state.db for name in ("orders", "ticketing", "crm", "notifications", "reporting")}
    handled: dict[str, set[str]] = {}
    for name, db in readers.items():
        async with db.as_worker() as session:
            gone = await session.scalars(
                text("DELETE FROM inbox WHERE event_id = ANY(CAST(:ids AS uuid[])) RETURNING event_id::text"),
                {"ids": ids},
            )
            handled[name] = set(gone)
    assert handled["crm"]
    producer = AIOKafkaProducer(bootstrap_servers=apps["orders"].state.settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        for one in records:
            await producer.send_and_wait(one.topic, one.value, key=one.key, headers=list(one.headers))
    finally:
        await producer.stop()
    for name, db in readers.items():

        async def back(name: str = name, db: Database = db) -> bool:
            async with db.as_worker() as session:
                rows = await session.scalars(text("SELECT event_id::text FROM inbox"))
                return handled[name] <= set(rows)

        await eventually(back, timeout=30)
    await settled(house)
