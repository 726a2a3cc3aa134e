"""The tables of docs/architecture.md say what the code says."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chassis.consumer import Consumer
from contracts.envelope import EventData
from contracts.topics import CONSUMER_GROUPS, TOPICS
from deploy.checks.contracts import event_types, key_field
from services.gateway.live import TOPICS as WATCHED_BY_GATEWAY
from services.notifications import consumers as notifications
from services.notifications.settings import Settings as NotificationsSettings
from services.ticketing import consumers as ticketing
from services.ticketing.main import OWN_TOPICS as WATCHED_BY_TICKETING
from services.ticketing.settings import Settings as TicketingSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def rows(name: str) -> Iterator[list[str]]:
    """The cells of a marked table, without its head."""
    table = PAGE.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- end of {name} -->")[0]
    for line in table.splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def consumers() -> dict[str, Consumer]:
    """Every service's consumer, by its group."""
    unused: Any = None
    found = [
        notifications.build(NotificationsSettings()),
        ticketing.build(TicketingSettings(), unused, unused),
        *(importlib.import_module(f"services.{name}.consumers").consumer for name in ("crm", "orders", "reporting")),
    ]
    return {consumer.group: consumer for consumer in found}


def documented() -> dict[str, tuple[str, str, set[str]]]:
    """Producer, key and consumers by event type, as the page says."""
    return {
        event.strip("`"): (producer, key.strip("`"), set(re.findall(r"\*\*(\w+)\*\*", told)))
        for event, producer, key, told in rows("events")
    }


def test_every_event_is_listed_once() -> None:
    listed = [row[0].strip("`") for row in rows("events")]

    assert sorted(listed) == sorted(EventData.known)


def test_every_service_with_consumers_is_asked() -> None:
    with_consumers = {path.parent.name for path in (ROOT / "services").glob("*/consumers.py")}

    assert set(consumers()) == with_consumers <= set(CONSUMER_GROUPS)


@pytest.mark.parametrize("kind", event_types(), ids=lambda kind: kind.event_type)
def test_the_page_says_who_sends_and_who_listens(kind: type[EventData]) -> None:
    producer = next(topic.producer for topic in TOPICS if topic.name == kind.topic)
    groups = {group for group, consumer in consumers().items() if consumer.handles(kind.event_type)}

    assert documented()[kind.event_type] == (producer, key_field(kind), groups)


def test_the_page_says_who_watches_live() -> None:
    listed = {service: set(re.findall(r"`([\w.]+)`", topics)) for service, topics, _ in rows("live")}

    assert listed == {"gateway": set(WATCHED_BY_GATEWAY), "ticketing": set(WATCHED_BY_TICKETING)}


def test_the_table_of_topics_says_who_reads() -> None:
    """What a service may read on a Kafka with access control is derived from it."""
    listening = {group: set(consumer.topics) for group, consumer in consumers().items()}
    listening["ticketing"] |= set(WATCHED_BY_TICKETING)
    listening["gateway"] = set(WATCHED_BY_GATEWAY)
    for topic in TOPICS:
        assert set(topic.readers) == {service for service, names in listening.items() if topic.name in names}, topic


def test_the_page_says_which_topics_a_service_writes() -> None:
    listed = {
        match["service"]: set(re.findall(r"`([\w.]+)`", match["topics"]))
        for match in re.finditer(
            r"^\| (?P<service>\w+) \| [^|`]+ \| (?P<topics>[^|]+) \|$",
            PAGE.partition("## Who owns what")[2].partition("\n## ")[0],
            re.MULTILINE,
        )
        if match["service"] != "Service"
    }
    written: dict[str, set[str]] = {service: set() for service in listed}
    for topic in TOPICS:
        written[topic.producer].add(topic.name)

    assert listed == written
    assert set(listed) == {path.parent.name for path in (ROOT / "services").glob("*/main.py")}
