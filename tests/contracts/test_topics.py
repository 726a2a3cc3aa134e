"""The table of topics and the event types fit together."""

from __future__ import annotations

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
