"""The envelope survives the trip over Kafka, and whatever else arrives is told apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.crm import CustomerRegistered, CustomerState
from contracts.envelope import Event, EventData, MalformedEvent, Part, UnknownEventType, decode
from contracts.money import Money
from contracts.notifications import Channel, MessageSent
from contracts.orders import PaymentReceived
from contracts.ticketing import HoldEnd, HoldExtended, HoldReleased
from tests.contracts.strategies import events

HOLD = HoldExtended(hold_id=uuid4(), show_id=uuid4(), expires_at=datetime(2027, 1, 1, tzinfo=UTC))


def record(data: EventData = HOLD, **attributes: Any) -> tuple[dict[str, bytes | None], bytes]:
    event = Event(id=uuid4(), data=data, organisation=uuid4(), **attributes)
    return dict(event.headers()), data.to_json()


@given(events)
def test_an_event_is_the_same_after_the_trip(event: Event[EventData]) -> None:
    assert decode(event.headers(), event.data.to_json()) == event


@given(events)
def test_headers_are_a_cloud_event_in_binary_mode(event: Event[EventData]) -> None:
    headers = {name: value.decode() for name, value in event.headers()}

    assert headers["content-type"] == "application/json"
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_subject"].encode() == event.key
    assert headers["ce_type"].startswith(event.topic + ".")
    assert all(name.removeprefix("ce_").isalnum() and name.islower() for name in headers if name != "content-type")


def test_headers_that_are_null_or_not_utf8_are_ignored() -> None:
    headers, value = record()

    headers |= {
        "ce_nothing": None,
        "ce_latin": b"\xff\xfe",
        "x": b"\xff",
        "ce_causationid": None,
        "ce_traceparent": b"\xff",
    }

    event = decode(headers.items(), value)
    assert event.data == HOLD
    assert event.causation_id is None
    assert event.traceparent is None


@pytest.mark.parametrize("name", ["id", "time", "specversion"])
@pytest.mark.parametrize("broken", [None, b"\xff", b"", "missing"])
def test_a_broken_header_that_is_needed_is_malformed(name: str, broken: bytes | str | None) -> None:
    headers, value = record()
    if isinstance(broken, str):
        del headers[f"ce_{name}"]
    else:
        headers[f"ce_{name}"] = broken

    with pytest.raises(MalformedEvent):
        decode(headers.items(), value)


@pytest.mark.parametrize("kind", [None, b"\xff"])
def test_a_record_without_a_type_is_malformed(kind: bytes | None) -> None:
    headers, value = record()

    with pytest.raises(MalformedEvent, match="ce_type"):
        decode((headers | {"ce_type": kind}).items(), value)


@pytest.mark.parametrize("attribute", ["organisation", "causationid", "aggregateversion", "time", "id"])
def test_an_attribute_of_another_form_is_malformed(attribute: str) -> None:
    headers, value = record()

    with pytest.raises(MalformedEvent):
        decode((headers | {f"ce_{attribute}": b"yesterday"}).items(), value)


def test_a_foreign_type_is_unknown_whatever_else_is_wrong_with_it() -> None:
    with pytest.raises(UnknownEventType, match=r"orders\.order\.paid\.v9"):
        decode([("ce_type", b"orders.order.paid.v9"), ("ce_id", b"7")], b"not json")


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"null", b"\xff", b'{"hold_id": 1}'])
def test_a_value_that_does_not_fit_its_type_is_malformed(value: bytes | None) -> None:
    headers, _ = record()

    with pytest.raises(MalformedEvent, match=r"ticketing\.hold\.extended\.v1"):
        decode(headers.items(), value)


def test_the_reason_does_not_quote_the_value() -> None:
    headers, value = record(customer())
    wrong = json.loads(value) | {"emails": "olena@example.org"}

    with pytest.raises(MalformedEvent) as error:
        decode(headers.items(), json.dumps(wrong).encode())

    assert "emails" in str(error.value)
    assert "olena" not in str(error.value)


@pytest.mark.parametrize("minor", ["12500", 12500.0, True, None])
def test_consumers_do_not_coerce_numbers(minor: object) -> None:
    headers, value = record(payment())
    wrong = json.loads(value)
    wrong["amount"]["minor"] = minor

    with pytest.raises(MalformedEvent, match=r"amount\.minor"):
        decode(headers.items(), json.dumps(wrong).encode())


@given(events, st.text(min_size=1, max_size=8), st.none() | st.integers() | st.dictionaries(st.text(), st.booleans()))
def test_consumers_ignore_unknown_fields_at_every_depth(event: Event[EventData], name: str, extra: object) -> None:
    name = f"new_{name}"

    widened = _everywhere(json.loads(event.data.to_json()), name, extra)

    assert decode(event.headers(), json.dumps(widened).encode()) == event


def test_a_reader_keeps_a_value_that_it_does_not_know_where_it_only_informs() -> None:
    sent = MessageSent(message_id=uuid4(), channel=Channel.SMS, template="t", recipient_hash="h", attempts=1)
    headers, value = record(sent)
    tomorrow = json.dumps(json.loads(value) | {"channel": "pigeon"}).encode()

    got = decode(headers.items(), tomorrow).data

    assert isinstance(got, MessageSent)
    assert got.channel == "pigeon"
    assert json.loads(got.to_json())["channel"] == "pigeon"
    with pytest.raises(ValidationError):
        MessageSent(**sent.model_dump() | {"channel": "pigeon"})
    with pytest.raises(ValueError, match="pigeon"):
        Channel("pigeon")


def test_a_value_that_decides_is_known_or_malformed() -> None:
    headers, value = record(HoldReleased(hold_id=uuid4(), show_id=uuid4(), seats=(), reason=HoldEnd.EXPIRED))
    with pytest.raises(MalformedEvent, match="reason"):
        decode(headers.items(), json.dumps(json.loads(value) | {"reason": "eaten"}).encode())


def test_producers_may_not_invent_fields_at_any_depth() -> None:
    with pytest.raises(ValidationError):
        HoldExtended(hold_id=uuid4(), show_id=uuid4(), expires_at=datetime.now(UTC), colour="red")  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        PaymentReceived.model_validate(payment().model_dump() | {"amount": {"minor": 1, "currency": "UAH", "x": 1}})


def test_every_nested_object_is_closed_and_frozen() -> None:
    for kind in _subclasses(Part):
        assert kind.model_config["extra"] == "forbid", kind
        assert kind.model_config["frozen"], kind


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        HOLD.show_id = uuid4()  # type: ignore[misc]


def test_a_time_without_a_zone_is_refused_and_others_become_utc() -> None:
    with pytest.raises(ValidationError):
        HoldExtended(hold_id=uuid4(), show_id=uuid4(), expires_at=datetime(2027, 1, 1))  # noqa: DTZ001

    kyiv = datetime(2027, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    headers, value = record(HoldExtended(hold_id=uuid4(), show_id=uuid4(), expires_at=kyiv), time=kyiv)

    assert json.loads(value)["expires_at"] == "2027-01-01T00:00:00Z"
    assert headers["ce_time"] == b"2027-01-01T00:00:00.000000Z"


def test_a_time_header_without_a_zone_is_malformed() -> None:
    headers, value = record()

    with pytest.raises(MalformedEvent, match="zone"):
        decode((headers | {"ce_time": b"2027-01-01T00:00:00"}).items(), value)


def test_only_a_type_of_its_own_can_be_published() -> None:
    base = CustomerState(customer_id=uuid4(), name="O", emails=(), phones=())

    with pytest.raises(TypeError, match="CustomerState"):
        Event(id=uuid4(), data=base, organisation=None)


@pytest.mark.parametrize(
    "name", ["orders.order.paid", "orders.order.paid.1", "Orders.order.paid.v1", "a.b.c.v0", "a.b.c.d.v1"]
)
def test_a_type_name_has_four_parts(name: str) -> None:
    with pytest.raises(TypeError, match="past_tense"):
        type("Wrong", (EventData,), {}, type=name)


def test_a_type_name_is_used_once() -> None:
    with pytest.raises(TypeError, match="twice"):
        type("Again", (EventData,), {}, type=HOLD.event_type)


def test_an_unwritten_key_is_an_error() -> None:
    class Keyless(EventData):
        pass

    with pytest.raises(NotImplementedError):
        Keyless().key()


def customer() -> CustomerRegistered:
    return CustomerRegistered(customer_id=uuid4(), name="Olena", emails=("olena@example.org",), phones=())


def payment() -> PaymentReceived:
    return PaymentReceived(
        payment_id=UUID(int=1),
        order_id=UUID(int=2),
        order_number="1",
        provider="sandbox",
        amount=Money(minor=1, currency="UAH"),
    )


def _everywhere(value: Any, name: str, extra: object) -> Any:
    if isinstance(value, dict):
        return {key: _everywhere(one, name, extra) for key, one in value.items()} | {name: extra}
    if isinstance(value, list):
        return [_everywhere(one, name, extra) for one in value]
    return value


def _subclasses(kind: type[Part]) -> set[type[Part]]:
    return {kind}.union(*(_subclasses(sub) for sub in kind.__subclasses__()))
