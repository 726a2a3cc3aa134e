"""The AsyncAPI 3.0 document of the platform: channels are topics, operations are what the services write to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.envelope import EVENT_BYTES, EventData
from contracts.topics import Topic
from deploy.checks.schemas import write_schema

DESCRIPTION = f"""\
Typed events of Footlights: CloudEvents 1.0 in Kafka's binary mode, JSON values. Order is kept per key, delivery is at
least once: drop what you have seen by `ce_id`. Optional fields, and values of enumerations that name only the known
ones, may be added to a type at any time; ignore what you do not know. Everything else gets a new major version of the
type. A value has {EVENT_BYTES:,} bytes at most. See docs/partners.md.
"""

HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "content-type": ({"const": "application/json"}, "Of the value."),
    "ce_specversion": ({"const": "1.0"}, "Version of CloudEvents."),
    "ce_id": ({"format": "uuid"}, "Of the event; the same when it is delivered again."),
    "ce_source": ({"format": "uri-reference"}, "The service that owns the aggregate."),
    "ce_type": ({}, "service.aggregate.past_tense.major_version"),
    "ce_time": ({"format": "date-time"}, "When it happened, UTC."),
    "ce_subject": ({"format": "uuid"}, "Id of the aggregate, the same as the key."),
    "ce_organisation": ({"format": "uuid"}, "Owner of the aggregate; accounts of people have none."),
    "ce_aggregateversion": ({"pattern": "^[0-9]+$"}, "Grows with the events of an aggregate."),
    "ce_correlationid": ({}, "The order or request that the event belongs to."),
    "ce_causationid": ({"format": "uuid"}, "The event that led to this one."),
    "ce_traceparent": ({}, "W3C trace context."),
}
REQUIRED = [
    "content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_aggregateversion",
]  # fmt: skip


def document(types: Sequence[type[EventData]], topics: Sequence[Topic], version: str) -> dict[str, Any]:
    """The whole document, in a stable order; `version` is that of the contracts."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Footlights events", "version": version, "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:8092",
                "protocol": "kafka",
                "description": "The broker of `make up`; an installation names its own.",
            }
        },
        "channels": {topic.name: _channel(topic, types) for topic in topics},
        "operations": {f"{topic.producer}.{topic.name}": _operation(topic, types) for topic in topics},
        "components": {
            "messages": {kind.event_type: _message(kind) for kind in types},
            "schemas": {"Headers": _headers()},
        },
    }


def _channel(topic: Topic, types: Sequence[type[EventData]]) -> dict[str, Any]:
    config = topic.config()
    return {
        "address": topic.name,
        "description": f"Written by {topic.producer}, by nobody else.",
        "messages": {
            kind.event_type: {"$ref": f"#/components/messages/{kind.event_type}"}
            for kind in types
            if kind.topic == topic.name
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": config["cleanup.policy"].split(","),
                    "retention.ms": int(config["retention.ms"]),
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(topic: Topic, types: Sequence[type[EventData]]) -> dict[str, Any]:
    channel = f"#/channels/{topic.name}"
    return {
        "action": "send",
        "channel": {"$ref": channel},
        "summary": f"{topic.producer} publishes what happened to its {topic.name.partition('.')[2]}s.",
        "messages": [{"$ref": f"{channel}/messages/{kind.event_type}"} for kind in types if kind.topic == topic.name],
    }


def _message(kind: type[EventData]) -> dict[str, Any]:
    return {
        "name": kind.event_type,
        "title": kind.__name__,
        "summary": write_schema(kind).get("description", ""),
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Headers"},
        "payload": {"$ref": f"./schemas/{kind.event_type}.json"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "format": "uuid", "description": "Id of the aggregate."},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "required": REQUIRED,
        "properties": {
            name: {"type": "string", **constraints, "description": words}
            for name, (constraints, words) in HEADERS.items()
        },
    }
