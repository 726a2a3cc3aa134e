"""The table of topics and the event types fit together."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

from pydantic import BaseModel

from contracts import orders, ticketing
from contracts.accounts import AccountState, LetterRequested
from contracts.crm import CustomerState
from contracts.envelope import EventData
from contracts.topics import CONSUMER_GROUPS, TOPICS, WEEK, Topic, all_topics


def test_every_type_has_its_topic_and_every_topic_a_type() -> None:
    assert {kind.topic for kind in EventData.known.values()} == {topic.name for topic in TOPICS}


def test_a_topic_is_written_by_the_service_of_its_types() -> None:
    producers = {"accounts": "gateway"}
    for topic in TOPICS:
        area = topic.name.split(".")[0]
        assert topic.producer == producers.get(area, area)


def test_each_topic_is_named_once_and_each_group_has_a_place_for_dead_letters() -> None:
    names = [topic.name for topic in all_topics()]

    assert len(names) == len(set(names))
    assert {f"{group}.dlq" for group in CONSUMER_GROUPS} <= set(names)


def test_settings_are_kafkas() -> None:
    assert Topic("a", producer="x").config() == {"cleanup.policy": "delete", "retention.ms": "-1"}
    assert Topic("a", producer="x", retention=WEEK).config()["retention.ms"] == "604800000"


def test_no_record_with_names_gets_older_than_said() -> None:
    """Kafka deletes a segment when its newest record is too old: the oldest is older by what a segment lasts."""
    for topic in all_topics():
        config = topic.config()
        if topic.names:
            assert topic.retention is not None
            longest = timedelta(milliseconds=int(config["retention.ms"]) + int(config["segment.ms"]))
            assert longest <= topic.retention <= timedelta(days=400), topic.name


PERSONS = (AccountState, LetterRequested, CustomerState, orders.Customer, orders.Participant, ticketing.Holder)
"""What has the name of a person in it."""


def test_topics_that_carry_names_say_so() -> None:
    named = {kind.topic for kind in EventData.known.values() if _names_somebody(kind)}
    assert named == {topic.name for topic in TOPICS if topic.names}


def _names_somebody(model: type[BaseModel]) -> bool:
    if issubclass(model, PERSONS):
        return True
    parts = [part for field in model.model_fields.values() for part in _models(field.annotation)]
    return any(_names_somebody(part) for part in parts)


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
