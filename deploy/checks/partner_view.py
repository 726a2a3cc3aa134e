"""What a partner sees: a plain Kafka consumer that has nothing of Footlights but the JSON Schemas.

    python -m deploy.checks.partner_view --bootstrap 127.0.0.1:8092 --schemas contracts/schemas

Reads every topic that a schema names from the start to what is its end now, validates each record and decodes it with
the CloudEvents SDK, prints how many of each type there are, and fails if one does not fit. It imports no code of ours
on purpose: what it needs is what a partner needs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from cloudevents.core.exceptions import BaseCloudEventException
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from jsonschema import Draft202012Validator, FormatChecker

FORMATS = FormatChecker(formats=["uuid"])


@FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _has_zone(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class Misfit(ValueError):
    """A record is not what the schemas promise."""


@dataclass(slots=True)
class View:
    """What was read: records by type, how many event ids came more than once, and what did not fit."""

    types: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    misfits: list[str] = field(default_factory=list)

    @property
    def records(self) -> int:
        return self.types.total()


class Schemas:
    """The schemas of a folder, by event type; the name of a type says its topic."""

    def __init__(self, folder: Path) -> None:
        self._validators = {
            path.stem: Draft202012Validator(json.loads(path.read_text()), format_checker=FORMATS)
            for path in folder.glob("*.json")
        }

    @property
    def topics(self) -> list[str]:
        return sorted({".".join(name.split(".")[:2]) for name in self._validators})

    def judge(self, topic: str, key: bytes | None, headers: dict[str, bytes], value: bytes | None) -> tuple[str, str]:
        """Type and id of the event in a record. Raises `Misfit` if it is not what the schemas promise."""
        try:
            event = from_kafka_event(KafkaMessage(headers=headers, key=key, value=value or b""))
        except (BaseCloudEventException, ValueError, KeyError, TypeError) as error:
            raise Misfit(f"not a CloudEvent: {error}") from error
        name, subject, data = event.get_type(), event.get_subject(), event.get_data()
        validator = self._validators.get(name)
        if validator is None:
            raise Misfit(f"no schema of type {name}")
        if not name.startswith(f"{topic}."):
            raise Misfit(f"{name} does not belong to this topic")
        if key is None or key.decode() != subject:
            raise Misfit(f"{name}: the key is not the subject {subject}")
        for problem in validator.iter_errors(data):
            raise Misfit(f"{name}: {problem.json_path}: {problem.message}")
        return name, event.get_id()


def read(
    bootstrap: str,
    schemas: Schemas,
    topics: list[str] | None = None,
    timeout: float = 60,
    access: Mapping[str, str] | None = None,
) -> View:
    """Every record of the topics up to their present ends. Raises `TimeoutError` if they cannot be read in time."""
    view, seen = View(), set[str]()
    for message in _records(bootstrap, topics or schemas.topics, timeout, access or {}):
        place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        raw: Any = message.headers()
        headers = {name: value for name, value in raw or () if isinstance(value, bytes)}
        try:
            name, id_ = schemas.judge(message.topic() or "", _bytes(message.key()), headers, _bytes(message.value()))
        except Misfit as misfit:
            view.misfits.append(f"{place}: {misfit}")
            continue
        view.types[name] += 1
        view.repeated += id_ in seen
        seen.add(id_)
    return view


def _records(bootstrap: str, topics: list[str], timeout: float, access: Mapping[str, str]) -> Iterator[Message]:
    consumer = Consumer(
        {
            **access,
            "bootstrap.servers": bootstrap,
            "group.id": f"{access.get('sasl.username', 'partner')}.{uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        known = consumer.list_topics(timeout=10).topics
        missing = [topic for topic in topics if topic not in known]
        if missing:
            raise LookupError(f"no topic {', '.join(missing)} on {bootstrap}")
        unread = {(topic, partition) for topic in topics for partition in known[topic].partitions}
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in unread])
        while unread:
            message = consumer.poll(timeout)
            if message is None:
                raise TimeoutError(f"{len(unread)} partitions could not be read to their ends in {timeout} s")
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard((str(message.topic()), int(message.partition() or 0)))
            else:
                raise KafkaException(error)
    finally:
        consumer.close()


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="partner_view", description="Validate every record as a partner would.")
    parser.add_argument("--bootstrap", default="127.0.0.1:8092")
    parser.add_argument("--schemas", type=Path, default=Path("contracts/schemas"))
    parser.add_argument("--topic", action="append", dest="topics", help="only this topic; may be repeated")
    parser.add_argument("--username", help="account of an installation; KAFKA_PASSWORD has its password")
    parser.add_argument("--ca", help="PEM file of the authority that signed the brokers' certificates")
    options = parser.parse_args(arguments)

    access = {"security.protocol": "SASL_SSL" if options.username else "SSL"} if options.username or options.ca else {}
    if options.ca:
        access["ssl.ca.location"] = options.ca
    if options.username:
        account = {"sasl.username": options.username, "sasl.password": os.environ["KAFKA_PASSWORD"]}
        access |= {"sasl.mechanism": "SCRAM-SHA-512", **account}
    view = read(options.bootstrap, Schemas(options.schemas), options.topics, access=access)

    for name, count in sorted(view.types.items()):
        print(f"{count:>7}  {name}")
    for misfit in view.misfits[:20]:
        print(f"MISFIT   {misfit}")
    print(f"{view.records:>7}  records fit their schemas, {len(view.misfits)} do not, {view.repeated} came again")
    return 1 if view.misfits else 0


if __name__ == "__main__":
    sys.exit(main())
