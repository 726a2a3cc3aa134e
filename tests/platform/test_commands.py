"""The operators' command line against the tests' servers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaProducer

from chassis.db import Database
from chassis.relay import Relay
from contracts.accounts import OrganisationRegistered
from contracts.envelope import Event
from deploy.platform.home import ROOT
from tests.chassis.probe import settings_for
from tests.harness import Kafka, Postgres


async def footlights(*arguments: str, **env: str) -> tuple[int, str]:
    """Run the command line as a person would; exit code and output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli", *arguments),
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "300", "TERM": "dumb", **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


def registered(slug: str) -> Event[OrganisationRegistered]:
    data = OrganisationRegistered(
        organisation_id=uuid4(),
        slug=slug,
        name=slug,
        currency="UAH",
        locale="uk",
        time_zone="Europe/Kyiv",
        phone_region="UA",
        staff_email="desk@example.com",
    )
    return Event(id=uuid4(), data=data, organisation=data.organisation_id)


async def test_tail_shows_one_aggregate_as_json(kafka: Kafka):
    event = registered("tail")
    await _produce(kafka, event.topic, event.key, event.data.to_json(), event.headers())
    code, output = await footlights(
        *("events", "tail", "--from-start", "--key", str(event.data.organisation_id), "--limit", "1", "--json"),
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
    )
    assert code == 0, output
    shown = json.loads(output)
    assert shown["type"] == "accounts.organisation.registered.v1"
    assert shown["data"]["slug"] == "tail"


async def test_republish_sends_the_same_events_again(kafka: Kafka, postgres: Postgres):
    urls = await postgres.create_database("reporting")
    event = registered("again")
    owner = await asyncpg.connect(urls.worker)
    await owner.execute(
        "INSERT INTO outbox_published (id, topic, key, value, headers, published_at) VALUES (1, $1, $2, $3, $4, $5)",
        event.topic,
        event.key,
        event.data.to_json(),
        json.dumps([[name, value.decode()] for name, value in event.headers()]),
        datetime.now(UTC),
    )
    await owner.close()
    env = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "DATABASE_WORKER_URL_REPORTING": urls.worker}
    code, output = await footlights("events", "republish", "reporting", "--since", "1h", **env)
    assert (code, output.strip()) == (0, "Republished 1 events of reporting.")
    code, output = await footlights(
        *("events", "tail", "--from-start", "--key", str(event.data.organisation_id), "--limit", "1", "--json"), **env
    )
    assert json.loads(output)["id"] == str(event.id)


async def test_refused_events_are_listed_and_published_after_a_retry(kafka: Kafka, postgres: Postgres):
    urls = await postgres.create_database("crm")
    events = [registered("refused"), registered("too")]
    worker = await asyncpg.connect(urls.worker)
    for number, event in enumerate(events, 1):
        await worker.execute(
            "INSERT INTO outbox_failed (id, topic, key, value, headers, attempts, reason)"
            " VALUES ($1, $2, $3, $4, $5, 3, 'TopicAuthorizationFailed: why')",
            number,
            event.topic,
            event.key,
            event.data.to_json(),
            json.dumps([[name, value.decode()] for name, value in event.headers()]),
        )
    env = {"DATABASE_WORKER_URL_CRM": urls.worker}
    code, output = await footlights("events", "failed", **env)
    assert code == 0, output
    for told in ("TopicAuthorizationFailed: why", "accounts.organisation.registered.v1", events[0].key.decode()):
        assert told in output
    code, output = await footlights("events", "retry", "crm", "--id", "1", "--id", "9", **env)
    assert code == 1, output
    assert "no refused event 9" in output
    code, output = await footlights("events", "retry", "crm", "--id", "1", **env)
    assert (code, output.strip()) == (0, "Put back 1 of 2 refused events.")
    row = await worker.fetchrow("SELECT id, key, value, attempts FROM outbox")
    assert tuple(row) == (1, events[0].key, events[0].data.to_json(), 0)
    code, output = await footlights("events", "retry", "crm", "--all", **env)
    assert (code, output.strip()) == (0, "Put back 1 of 1 refused events.")
    code, output = await footlights("events", "failed", "crm", **env)
    assert (code, output.strip()) == (0, "No events were refused.")

    db = Database(settings_for(urls, kafka))
    relay = asyncio.create_task(Relay(db, kafka.bootstrap_servers, "retry").run())
    key = events[1].key.decode()
    code, output = await footlights(
        *("events", "tail", "--from-start", "--key", key, "--limit", "1", "--json"),
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
    )
    assert json.loads(output)["data"]["slug"] == "too"
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    await db.close()
    await worker.close()


async def test_dead_letters_are_listed_shown_and_replayed(kafka: Kafka):
    event = registered("dead")
    origin = {
        "topic": event.topic,
        "partition": 0,
        "offset": 7,
        "group": "crm",
        "reason": "Permanent: why",
        "at": "now",
    }
    headers = [*event.headers(), *((f"dlq_{name}", str(value).encode()) for name, value in origin.items())]
    offset = await _produce(kafka, "crm.dlq", event.key, event.data.to_json(), headers)
    env = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    code, output = await footlights("dead-letters", "list", "crm", **env)
    assert code == 0, output
    heads, letter = (re.split(r" *[┃│] *", line) for line in output.splitlines() if re.search("Group|why", line))
    assert heads == ["", "Group", "Offset", "At", "From", "Type", "Replayed", "Reason", ""]
    assert letter[2:] == [str(offset), "now", f"{event.topic}[0]@7", event.type, "", "Permanent: why", ""]
    code, output = await footlights("dead-letters", "show", "crm", str(offset), **env)
    assert str(event.id) in output
    code, output = await footlights("dead-letters", "replay", "crm", "--offset", str(offset), **env)
    assert code == 0, output
    code, output = await footlights("dead-letters", "replay", "crm", "--offset", str(offset), **env)
    assert (code, "Replayed 0" in output, "--again" in output) == (0, True, True), output
    code, output = await footlights(
        *("events", "tail", "--from-start", "--key", str(event.data.organisation_id), "--limit", "1", "--json"), **env
    )
    assert json.loads(output)["data"]["slug"] == "dead"


async def test_status_of_an_installation_elsewhere(kafka: Kafka, postgres: Postgres, own_folder: Path):
    urls = await postgres.create_database("crm")
    env = {
        "FOOTLIGHTS_HOME": str(own_folder),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "DATABASE_WORKER_URL_CRM": urls.worker,
    }
    code, output = await footlights("status", **env)
    assert code == 0, output
    assert re.search(r"│ crm +│ [-0-9]+ +│ \d+ +│ 0 +│ 0 +│", output), output
    code, output = await footlights("status", **env, ORDERS_URL="http://127.0.0.1:1")
    assert code == 1
    assert re.search(r"│ orders │ +│ http://127.0.0.1:1 │ ClientConnectorError │", output), output
    code, output = await footlights("status", **env | {"DATABASE_WORKER_URL_CRM": "postgresql://a@127.0.0.1:1/b"})
    assert (code, "?" in output) == (1, True), output
    code, output = await footlights("status", **env | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert code == 1
    assert "Kafka: KafkaConnectionError: 127.0.0.1:1: ConnectionRefusedError" in output


async def test_status_where_nothing_is_known(own_folder: Path):
    code, output = await footlights("status", FOOTLIGHTS_HOME=str(own_folder))
    assert (code, "KAFKA_BOOTSTRAP_SERVERS" in output) == (1, True), output


async def test_accounts_are_created_through_the_gateway(postgres: Postgres):
    urls = await postgres.create_database("gateway")
    env = {"DATABASE_WORKER_URL_GATEWAY": urls.worker}
    made = await footlights(
        *("accounts", "create-organisation", "opera", "The Opera", "--staff-email", "desk@example.com"), **env
    )
    assert made[0] == 0, made[1]
    arguments = ("--name", "Olena", "--organisation", "opera", "--role", "ticket_desk")
    code, output = await footlights("accounts", "create", "olena@example.com", *arguments, **env)
    assert code == 0, output
    assert "Password: " in output
    code, output = await footlights("accounts", "list", "--organisation", "opera", **env)
    assert "opera: ticket_desk" in output
    code, output = await footlights("accounts", "reset-password", "olena@example.com", **env)
    assert "One-time password" in output
    code, output = await footlights("accounts", "reset-password", "nobody@example.com", **env)
    assert code == 1
    worker = await asyncpg.connect(urls.worker)
    assert await worker.fetchval("SELECT count(*) FROM outbox") == 2
    await worker.close()


async def _produce(kafka: Kafka, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> int:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, acks="all")
    await producer.start()
    record = await producer.send_and_wait(topic, key=key, value=value, headers=headers)
    await producer.stop()
    return int(record.offset)


async def test_a_stopped_consumer_is_let_go_on_and_what_is_parked_is_listed_and_given_up(postgres: Postgres):
    urls = await postgres.create_database("crm")
    env = {"DATABASE_WORKER_URL_CRM": urls.worker}
    code, output = await footlights("dead-letters", "resume", "crm", "--allow", "7", **env)
    assert code == 0, output
    worker = await asyncpg.connect(urls.worker)
    try:
        assert await worker.fetchval("SELECT allowed FROM resumption WHERE consumer = 'crm'") == 7
        await worker.executemany(
            "INSERT INTO parked VALUES ('crm', 'orders.order', 0, $1, $2, 'k', 'v', '[]')",
            [(1, "orders.order.framed.v1"), (2, "orders.order.paid.v1")],
        )
        code, output = await footlights("dead-letters", "parked", "crm", **env)
        assert code == 0, output
        assert "orders.order.framed.v1" in output
        for name, left in (("orders.order.paid.v1", 2), ("orders.order.framed.v1", 1)):
            code, output = await footlights("dead-letters", "parked", "crm", "--give-up", name, **env)
            assert code == 0, output
            assert await worker.fetchval("SELECT count(*) FROM parked") == left
    finally:
        await worker.close()
    code, output = await footlights("dead-letters", "resume", "nobody", **env)
    assert code != 0
    assert "the groups are" in output
