"""A partner with a Kafka client, the JSON Schemas and the CloudEvents SDK reads what our producers write."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from contracts.envelope import Event, EventData, Header
from deploy.checks import partner_view
from deploy.checks.contracts import event_types
from deploy.checks.examples import example_event
from tests.harness import Kafka

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "contracts" / "schemas"

Record = tuple[str, bytes | None, bytes | None, list[Header]]


def record(event: Event[EventData], **changed: object) -> Record:
    values = {"key": event.key, "value": event.data.to_json(), "headers": event.headers()} | changed
    return event.topic, values["key"], values["value"], values["headers"]  # type: ignore[return-value]


async def publish(bootstrap: str, records: Iterable[Record]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for topic, key, value, headers in records:
            await producer.send_and_wait(topic, value, key=key, headers=headers)


async def view(bootstrap: str) -> partner_view.View:
    return await asyncio.to_thread(partner_view.read, bootstrap, partner_view.Schemas(SCHEMAS))


async def test_every_type_is_readable_and_every_misfit_is_named(own_kafka: Kafka) -> None:
    events = [example_event(kind) for kind in event_types()]
    await publish(own_kafka.bootstrap_servers, map(record, [*events, events[0]]))

    seen = await view(own_kafka.bootstrap_servers)

    assert seen.misfits == []
    assert set(seen.types) == set(EventData.known)
    assert seen.records == len(events) + 1
    assert seen.repeated == 1
    done = await asyncio.to_thread(_as_a_command, own_kafka.bootstrap_servers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(events) + 1}  records fit their schemas, 0 do not, 1 came again" in done.stdout

    event = events[0]
    headers = event.headers()
    other_topic = record(event)[1:]
    await publish(
        own_kafka.bootstrap_servers,
        [
            record(event, value=b'{"surprise": true}'),
            record(event, value=event.data.to_json().replace(b'"name":', b'"name":1,"said":', 1)),
            record(event, value=b"not json"),
            record(event, key=str(uuid4()).encode()),
            record(event, headers=[header for header in headers if header[0] != "ce_type"]),
            record(
                event, headers=[("ce_type", b"x.y.z.v1") if name == "ce_type" else (name, v) for name, v in headers]
            ),
            ("crm.customer", *other_topic),
        ],
    )

    assert len((await view(own_kafka.bootstrap_servers)).misfits) == 7
    assert (await asyncio.to_thread(_as_a_command, own_kafka.bootstrap_servers)).returncode == 1


def test_the_partner_uses_nothing_of_ours() -> None:
    script = (
        "import sys, runpy; runpy.run_path('deploy/checks/partner_view.py', run_name='partner');"
        "print([name for name in sys.modules if name.split('.')[0] in ('contracts', 'chassis', 'services', 'deploy')])"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_missing_topic_is_said(kafka_server: Kafka) -> None:
    schemas = partner_view.Schemas(SCHEMAS)

    with pytest.raises(LookupError, match=r"nowhere\.at_all"):
        partner_view.read(kafka_server.bootstrap_servers, schemas, ["nowhere.at_all"])


def _as_a_command(bootstrap: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.checks.partner_view", "--bootstrap", bootstrap, "--schemas", str(SCHEMAS)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
