"""What is committed beside the models is what they say, and a partner can work with it alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

from chassis.settings import ServiceSettings
from contracts.envelope import EventData, decode
from contracts.topics import TOPICS
from deploy.checks import contracts
from deploy.checks.schemas import write_schema
from services.orders.process.state import CancelReason

CONTRACTS = Path(contracts.__file__).parents[2] / "contracts"
TYPES = sorted(EventData.known)


def read(folder: str, name: str) -> Any:
    return json.loads((CONTRACTS / folder / f"{name}.json").read_text())


def headers_of(example: dict[str, Any]) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in example["headers"].items()]


def test_generating_changes_nothing() -> None:
    assert list(contracts.stale()) == []


def test_released_types_are_kept() -> None:
    assert contracts.breaks() == []


def test_every_released_type_is_in_the_changelog() -> None:
    words = (CONTRACTS / "CHANGELOG.md").read_text()
    for name in (path.stem for path in (CONTRACTS / "released").glob("*.json")):
        topic, _, verb = name.rpartition(".v")[0].rpartition(".")
        assert any(verb in line for line in words.splitlines() if f"`{topic}`" in line), name


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_is_valid_and_open_for_readers(name: str) -> None:
    schema = read("schemas", name)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["description"]
    for part in [schema, *schema.get("$defs", {}).values()]:
        assert part.get("additionalProperties") is not False
    more = read("examples", name)["value"] | {"field_of_tomorrow": 1}
    jsonschema.Draft202012Validator(schema).validate(more)
    with pytest.raises(jsonschema.ValidationError, match="field_of_tomorrow"):
        jsonschema.Draft202012Validator(write_schema(EventData.known[name])).validate(more)


def test_only_enumerations_that_inform_are_open() -> None:
    found: dict[str, bool] = {}
    for name in TYPES:
        for title, part in read("schemas", name).get("$defs", {}).items():
            if part["type"] == "string":
                found[title] = "enum" not in part
    opened = {title for title, is_open in found.items() if is_open}
    assert opened == {"PaymentMethod", "LineKind", "OfferKind", "Role", "Channel", "GivenBy"}
    assert set(found) - opened == {"FunnelStage", "PaymentStatus", "ShowStatus", "HoldEnd", "LetterKind"}


def test_every_reason_says_what_it_may_be() -> None:
    for name in TYPES:
        schema = read("schemas", name)
        reason = schema["properties"].get("reason")
        if reason:
            told = schema["$defs"][reason["$ref"].rpartition("/")[2]] if "$ref" in reason else reason
            assert "enum" in told or told.get("description"), name
    cancelled = read("schemas", "orders.order.cancelled.v1")["properties"]["reason"]["description"]
    assert set(CancelReason) <= set(re.findall(r"\w+", cancelled))


@pytest.mark.parametrize("name", TYPES)
def test_an_example_fits_its_schema_and_decodes(name: str) -> None:
    example = read("examples", name)

    validator = jsonschema.Draft202012Validator(read("schemas", name), format_checker=jsonschema.FormatChecker())
    validator.validate(example["value"])
    event = decode(headers_of(example), json.dumps(example["value"]).encode())

    assert event.key.decode() == example["key"]
    assert event.topic == example["topic"]
    assert json.loads(event.data.to_json()) == example["value"]


@pytest.mark.parametrize("name", TYPES)
def test_the_cloudevents_sdk_reads_an_example(name: str) -> None:
    example = read("examples", name)
    message = KafkaMessage(
        headers=dict(headers_of(example)), key=example["key"].encode(), value=json.dumps(example["value"]).encode()
    )

    event = from_kafka_event(message)

    assert event.get_type() == name
    assert event.get_data() == example["value"]
    assert event.get_extension("aggregateversion") == "3"


def test_the_money_of_an_example_adds_up() -> None:
    order = read("examples", "orders.order.refunded.v1")["value"]

    assert sum(line["total"]["minor"] for line in order["lines"]) == order["total"]["minor"] == order["paid"]["minor"]
    assert order["amount"] == order["refunded"]


def test_asyncapi_names_every_topic_and_type() -> None:
    document = yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())

    assert document["asyncapi"] == "3.0.0"
    assert f"## {document['info']['version']}" in (CONTRACTS / "CHANGELOG.md").read_text().splitlines()
    assert f"{ServiceSettings.model_fields['kafka_event_bytes'].default:,} bytes" in document["info"]["description"]
    assert sorted(document["components"]["messages"]) == TYPES
    for topic in TOPICS:
        channel = document["channels"][topic.name]
        assert channel["address"] == topic.name
        assert channel["bindings"]["kafka"]["partitions"] == topic.partitions
        assert channel["messages"], topic.name
    for reference in _references(document):
        _follow(document, reference)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [one for nested in value.values() for one in _references(nested)]
    return [one for nested in value for one in _references(nested)] if isinstance(value, list) else []


def _follow(document: Any, reference: str) -> None:
    if reference.startswith("./"):
        assert (CONTRACTS / reference).exists(), reference
        return
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
