"""The envelope of every event: CloudEvents 1.0 in Kafka's binary mode.

Attributes travel as `ce_*` headers, the data as a JSON value, the aggregate's id as the key. Producers forbid
unknown fields; consumers ignore them, so an optional field can be added without breaking a reader.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, ValidationError

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
EVENT_BYTES = 1_000_000
"""No event is larger, unless an installation says otherwise (`KAFKA_EVENT_BYTES`)."""

TYPE_NAME = re.compile(r"[a-z]+\.[a-z]+\.[a-z_]+\.v[1-9][0-9]*")

Header = tuple[str, bytes]


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment, on the wire as RFC 3339 in UTC. A time without a zone is refused: it would mean a different moment to
every reader."""


class MalformedEvent(ValueError):
    """The record is not one of our events: a header is missing, or the value does not fit its type."""


class UnknownEventType(LookupError):
    """The record is a well-formed CloudEvent of a type that this version of the contracts does not know."""


_reading: ContextVar[bool] = ContextVar("_reading", default=False)


class Open(StrEnum):
    """Values that inform and decide nothing, so that new ones may come within a version of a type.

    Whoever reads an event keeps one that it does not know; everywhere else it is refused.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not _reading.get() or not isinstance(value, str):
            return None
        kept = str.__new__(cls, value)
        kept._name_, kept._value_ = value, value
        return kept


class Part(BaseModel):
    """A nested object of an event's data."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EventData(Part):
    """The data of one event type. Subclasses name their type: `class OrderPaid(..., type="orders.order.paid.v1")`."""

    event_type: ClassVar[str] = ""
    topic: ClassVar[str] = ""
    known: ClassVar[dict[str, builtins.type[EventData]]] = {}

    def __init_subclass__(cls, type: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not type:
            return
        if not TYPE_NAME.fullmatch(type):
            raise TypeError(f"{type!r} is not service.aggregate.past_tense.vN")
        if type in EventData.known:
            raise TypeError(f"{type!r} is defined twice")
        cls.event_type = type
        cls.topic = ".".join(type.split(".")[:2])
        EventData.known[type] = cls

    @classmethod
    def types(cls) -> tuple[builtins.type[Self], ...]:
        """The event types of this kind: those of `OrderState` are all that tell the state of an order."""
        return tuple(kind for kind in EventData.known.values() if issubclass(kind, cls))

    def key(self) -> UUID:
        """The id of the aggregate: the Kafka key, so events of one aggregate stay in order."""
        raise NotImplementedError

    def to_json(self) -> bytes:
        """Without fields that are None, which readers take missing ones for: an order may have 2,000 lines."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """The data in a record. Unknown fields are ignored at every depth, unknown values of an `Open` enumeration
        are kept; types are exactly those of the schema."""
        before = _reading.set(True)
        try:
            return cls.model_validate_json(value, strict=True, extra="ignore")
        finally:
            _reading.reset(before)


D = TypeVar("D", bound=EventData, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Generic[D]):
    """One event with its envelope.

    `organisation` is the owner of the aggregate; only events of `accounts.account` have none. `aggregate_version`
    grows by one with every event of an aggregate. `correlation_id` is the order id or request id that the event
    belongs to, `causation_id` the event that led to it, `traceparent` a W3C trace context.
    """

    id: UUID
    data: D
    organisation: UUID | None
    aggregate_version: int = 0
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    correlation_id: str | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None

    def __post_init__(self) -> None:
        if not self.data.event_type:
            raise TypeError(f"{type(self.data).__name__} is not an event type of its own")

    @property
    def type(self) -> str:
        return self.data.event_type

    @property
    def topic(self) -> str:
        return self.data.topic

    @property
    def key(self) -> bytes:
        return str(self.data.key()).encode()

    def attributes(self) -> dict[str, str]:
        """The headers of the record, before they are encoded."""
        return attributes(
            self.type,
            id=self.id,
            subject=self.data.key(),
            organisation=self.organisation,
            aggregate_version=self.aggregate_version,
            time=self.time,
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            traceparent=self.traceparent,
        )

    def headers(self) -> list[Header]:
        return [(name, value.encode()) for name, value in self.attributes().items()]


def attributes(
    type: str,
    *,
    id: object,
    subject: object,
    organisation: object,
    aggregate_version: int,
    time: datetime,
    correlation_id: str | None,
    causation_id: object = None,
    traceparent: str | None,
) -> dict[str, str]:
    """The headers of an event, before they are encoded, for a producer that has no `Event`."""
    given = {
        "content-type": CONTENT_TYPE,
        "ce_specversion": SPEC_VERSION,
        "ce_id": str(id),
        "ce_source": "/footlights/" + type.partition(".")[0],
        "ce_type": type,
        "ce_time": time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "ce_subject": str(subject),
    }
    if organisation is not None:
        given["ce_organisation"] = str(organisation)
    given["ce_aggregateversion"] = str(aggregate_version)
    if correlation_id is not None:
        given["ce_correlationid"] = correlation_id
    if causation_id is not None:
        given["ce_causationid"] = str(causation_id)
    if traceparent is not None:
        given["ce_traceparent"] = traceparent
    return given


def type_of(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The event type that a record claims to be, without decoding it."""
    for name, raw in headers:
        if name == "ce_type" and raw is not None:
            return raw.decode(errors="replace")
    return None


def decode(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> Event[EventData]:
    """The event in a Kafka record.

    Raises `MalformedEvent` for a record that is not a valid event and `UnknownEventType` for one of a foreign type.
    Headers that are null or not UTF-8 are ignored unless they are attributes we need.
    """
    attributes = _attributes(headers)
    name = attributes.get("type")
    if name is None:
        raise MalformedEvent("header ce_type is missing")
    known = EventData.known.get(name)
    if known is None:
        raise UnknownEventType(name)
    try:
        if attributes["specversion"] != SPEC_VERSION:
            raise MalformedEvent(f"{name}: CloudEvents {attributes['specversion']} is not {SPEC_VERSION}")
        if value is None:
            raise MalformedEvent(f"{name} has no value")
        return Event(
            id=UUID(attributes["id"]),
            data=known.from_json(value),
            organisation=_known_uuid(attributes.get("organisation")),
            aggregate_version=int(attributes.get("aggregateversion", "0")),
            time=_time(attributes["time"]),
            correlation_id=attributes.get("correlationid"),
            causation_id=_uuid(attributes.get("causationid")),
            traceparent=attributes.get("traceparent"),
        )
    except KeyError as missing:
        raise MalformedEvent(f"{name}: header ce_{missing.args[0]} is missing") from None
    except ValidationError as error:
        raise MalformedEvent(f"{name}: {_reasons(error)}") from None
    except MalformedEvent:
        raise
    except ValueError as error:
        raise MalformedEvent(f"{name}: {error}") from None


def _attributes(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    attributes = {}
    for name, raw in headers:
        if name.startswith("ce_") and raw is not None:
            try:
                attributes[name[3:]] = raw.decode()
            except UnicodeDecodeError:
                continue
    return attributes


def _uuid(text: str | None) -> UUID | None:
    return UUID(text) if text else None


_known_uuid = lru_cache(maxsize=4096)(_uuid)
"""For what stands in many events: reading an id costs a tenth of reading an event."""


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text} has no zone")
    return moment.astimezone(UTC)


def _reasons(error: ValidationError) -> str:
    """What is wrong and where, without the values: they may be personal data, and reasons reach logs."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'value'}: {problem['msg']}" for problem in problems[:5])
