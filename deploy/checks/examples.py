"""A golden example of every event type: one order of two seats, told by all services.

Values are written by hand, by `Class.field` or by the field's name, so that an example reads like something that
happened. A field without a value is an error: whoever adds a field says here what it looks like.
"""

from __future__ import annotations

import json
import types
from datetime import UTC, datetime, timedelta
from typing import Any, Union, get_args, get_origin
from uuid import UUID, uuid5

from pydantic import BaseModel

from contracts.envelope import Event, EventData

NAMESPACE = UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
START = datetime(2027, 3, 1, 17, 0, tzinfo=UTC)
SITE = "https://tickets.example.org"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMTkifQ.c2lnbmF0dXJl"  # noqa: S105  (opens nothing)


def uuid(name: str) -> UUID:
    """A fixed id for a thing with a name."""
    return uuid5(NAMESPACE, name)


def uah(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "UAH"}


def zone(name: str, price: int, seats: int) -> dict[str, Any]:
    fares = [
        {"fare": "full", "name": "Full price", "price": uah(price)},
        {"fare": "child", "name": "Child", "price": uah(price // 2)},
    ]
    return {"zone_id": uuid(f"zone {name}"), "name": name, "price": uah(price), "seats": seats, "fares": fares}


def holder(name: str, email: str | None, phone: str | None) -> dict[str, Any]:
    return {"name": name, "email": email, "phone": phone}


OLENA = holder("Олена Коваленко", "olena.kovalenko@example.org", "+380501234567")
ADAM = holder("Adam Żółkiewski", "adam.zolkiewski@example.org", None)
SEATS = (("parter-5-11", "Parterre, row 5, seat 11", OLENA), ("parter-5-12", "Parterre, row 5, seat 12", ADAM))

VALUES: dict[str, Any] = {
    # people and organisations
    "organisation_id": uuid("organisation"),
    "slug": "forest-theatre",
    "OrganisationState.name": "Forest Theatre",
    "locale": "uk",
    "time_zone": "Europe/Kyiv",
    "phone_region": "UA",
    "staff_email": "desk@example.org",
    "staff_phone": "+380441234567",
    "account_id": uuid("account"),
    "letter_id": uuid("letter"),
    "LetterRequested.kind": "sign_in",
    "LetterRequested.email": OLENA["email"],
    "LetterRequested.name": OLENA["name"],
    "LetterRequested.expires_at": START + timedelta(hours=1),
    "AccountState.name": OLENA["name"],
    "AccountState.email": OLENA["email"],
    "AccountState.phone": OLENA["phone"],
    "shared_with": [uuid("organisation")],
    "memberships": [{"organisation_id": uuid("organisation"), "roles": ["organizer", "ticket_desk"]}],
    "customer_id": uuid("customer"),
    "into_id": uuid("other customer"),
    "from_id": uuid("other customer"),
    "order_ids": [uuid("order")],
    "CustomerState.name": OLENA["name"],
    "emails": [OLENA["email"]],
    "phones": [OLENA["phone"]],
    "blacklisted": False,
    # shows
    "show_id": uuid("show"),
    "show_name": "Лісова пісня",
    "ShowState.name": "Лісова пісня",
    "starts_at": START,
    "hall_id": uuid("hall"),
    "hall_name": "Main stage",
    "status": "draft",
    "currency": "UAH",
    "price_zones": [zone("Parterre", 45000, 420), zone("Balcony", 25000, 380)],
    "capacity": 812,
    "areas": [
        {
            "area_id": uuid("area Standing"),
            "name": "Standing room",
            "zone_id": uuid("zone Balcony"),
            "capacity": 60,
        }
    ],
    "invoice_allowed": True,
    # holds and tickets
    "hold_id": uuid("order"),
    "HoldPlaced.seats": [
        {
            "seat": seat,
            "label": label,
            "zone_id": uuid("zone Parterre"),
            "zone_name": "Parterre",
            "price": uah(45000),
            "fare": "full",
            "fare_name": "Full price",
        }
        for seat, label, _ in SEATS
    ],
    "HoldPlaced.places": [],
    "HoldPlaced.channel": "site",
    "HoldPlaced.name": None,
    "HoldReleased.remaining": 0,
    "places": [],
    "seats": [seat for seat, _, _ in SEATS],
    "expires_at": START - timedelta(days=20, minutes=-15),
    "HoldReleased.reason": "released",
    "HoldConversionRefused.reason": "seats were sold to another order",
    "HoldConversionRefused.seats": [SEATS[1][0]],
    "tickets": [
        {
            "ticket_id": uuid(f"ticket {seat}"),
            "number": number,
            "seat": seat,
            "area": None,
            "label": label,
            "zone_name": "Parterre",
            "fare": "full",
            "fare_name": "Full price",
            "price": uah(45000),
            "holder": person,
            "line_id": uuid(f"line {seat}"),
        }
        for (seat, label, person), number in zip(SEATS, ("FT-7K2M-9QXD", "FT-3HWP-6RTA"), strict=True)
    ],
    "documents": [
        {"recipient": person, "ticket_ids": [uuid(f"ticket {seat}")], "url": f"{SITE}/api/ticketing/documents/{TOKEN}"}
        for seat, _, person in SEATS
    ],
    # orders and payments
    "order_id": uuid("order"),
    "number": "2027-000142",
    "order_number": "2027-000142",
    "stage": "awaiting_payment",
    "payment_status": "not_paid",
    "payment_method": "card",
    "total": uah(90000),
    "paid": uah(0),
    "refunded": uah(0),
    "customer": {**OLENA, "account_id": uuid("account")},
    "offer_id": uuid("offer"),
    "OrderState.offer_id": None,
    "OrderState.title": "Лісова пісня",
    "lines": [
        {
            "line_id": uuid(f"line {seat}"),
            "kind": "seat",
            "reference": seat,
            "title": label,
            "quantity": 1,
            "unit_price": uah(45000),
            "total": uah(45000),
            "participant": person,
            "given_by": "ticketing",
            "show_id": uuid("show"),
            "hold_id": uuid("order"),
            "zone_name": "Parterre",
            "fare": "full",
            "fare_name": "Full price",
            "discount": uah(0),
            "discount_reason": None,
            "tax": uah(7500),
            "tax_rate": "20",
            "given": 0,
            "returned": 0,
            "refunded": uah(0),
        }
        for seat, label, person in SEATS
    ],
    "created_at": START - timedelta(days=20),
    "order_url": f"{SITE}/orders/{uuid('order')}?key={TOKEN}",
    "pay_by": START - timedelta(days=20, minutes=-30),
    "OrderCancelled.was_paid": True,
    "OrderCancelled.reason": "the customer asked for it",
    "TicketsRevoked.reason": "refunded",
    "TicketsVoided.reason": "refunded",
    "request_id": uuid("refund"),
    "dispute_id": uuid("dispute"),
    "PaymentDisputeDecided.won": True,
    "came_back": False,
    "refund_id": uuid("refund"),
    "line_ids": [uuid(f"line {SEATS[1][0]}")],
    "OrderRefunded.full": False,
    "payment_id": uuid("payment"),
    "provider": "stripe",
    "provider_reference": "pi_3NqExample0001",
    "amount": uah(90000),
    "OrderRefunded.amount": uah(45000),
    "PaymentRefunded.amount": uah(45000),
    "PaymentFailed.reason": "card declined",
    "PaymentRefunded.reason": "one participant cannot come",
    # catalogue and enrolments
    "OfferState.kind": "course",
    "sku": "COURSE-STAGE-LIGHT",
    "OfferState.name": "Stage lighting for beginners",
    "OfferState.price": uah(320000),
    "on_sale": True,
    "enrolment_id": uuid("enrolment"),
    "course": "Stage lighting for beginners",
    "student": OLENA,
    "access_url": f"{SITE}/learn/{TOKEN}",
    # messages
    "message_id": uuid("message"),
    "channel": "email",
    "template": "tickets_issued",
    "recipient_hash": "5f2b9c0d6f1f6f2a6a2f2d1c9b1f6c0e7a8f3c4b5d6e7f8091a2b3c4d5e6f708",
    "attempts": 1,
    "attachments": 1,
    "MessageFailed.reason": "550 mailbox unavailable",
}

PAID = {"stage": "paid", "payment_status": "money_received", "paid": uah(90000)}

OF_TYPE: dict[str, dict[str, Any]] = {
    "orders.order.interested.v1": {"stage": "interested", "payment_method": None, "customer": None, "order_url": None},
    "orders.order.paid.v1": PAID,
    "orders.order.confirmed.v1": PAID,
    "orders.order.expired.v1": {"stage": "cancelled"},
    "orders.order.cancelled.v1": PAID | {"stage": "cancelled"},
    "orders.order.refunded.v1": PAID | {"payment_status": "partially_refunded", "refunded": uah(45000)},
    "orders.order.deleted.v1": {"stage": "cancelled"},
    "orders.order.tickets_revoked.v1": {"seats": [SEATS[1][0]]},
    "orders.payment.reversed.v1": {"provider": "manual", "provider_reference": None, "amount": uah(45000)},
    "orders.payment.refund_failed.v1": {"reason": "account_closed", "amount": uah(45000)},
    "orders.payment.disputed.v1": {"reason": "fraudulent"},
    "orders.payment.refund_due.v1": {"provider": "manual", "provider_reference": None, "amount": uah(45000)},
    "ticketing.show.sale_started.v1": {"status": "on_sale"},
    "ticketing.show.sale_stopped.v1": {"status": "sales_stopped"},
    "ticketing.hold.extended.v1": {"expires_at": START - timedelta(days=20, minutes=-45)},
    "ticketing.ticket.voided.v1": {"tickets": VALUES["tickets"][1:]},
    "notifications.message.failed.v1": {"attempts": 6, "attachments": 0},
    "notifications.message.bounced.v1": {"reason": "5.1.1 smtp; 550 5.1.1 no such user"},
}


def example_event(kind: type[EventData]) -> Event[EventData]:
    """The example of one type, the same in every run."""
    values = {name: _value(kind, name, OF_TYPE.get(kind.event_type, {})) for name in kind.model_fields}
    data = kind.model_validate_json(json.dumps(values, default=_plain))
    owner = None if kind.topic == "accounts.account" else uuid("organisation")
    return Event(
        id=uuid(f"event {kind.event_type}"),
        data=data,
        organisation=owner,
        aggregate_version=3,
        time=START - timedelta(days=20) + timedelta(seconds=4, milliseconds=250),
        correlation_id=str(uuid("order")),
        causation_id=uuid("cause"),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


def unfilled(value: Any, kind: Any, at: str = "") -> list[str]:
    """Places in an example where a nested object lacks a field that its model has: an example shows every field."""
    if isinstance(value, BaseModel):
        missing = [f"{at}.{name}" for name in type(value).model_fields if name not in value.model_fields_set]
        nested = [
            place
            for name, field in type(value).model_fields.items()
            for place in unfilled(getattr(value, name), field.annotation, f"{at}.{name}")
        ]
        return missing + nested
    if isinstance(value, tuple):
        return [place for one in value for place in unfilled(one, _inner(kind), f"{at}[]")]
    return []


def _inner(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        return next(one for one in get_args(kind) if one is not type(None))
    return (get_args(kind) or (None,))[0]


def _value(kind: type[EventData], name: str, overrides: dict[str, Any]) -> Any:
    if name in overrides:
        return overrides[name]
    for key in (*(f"{ancestor.__name__}.{name}" for ancestor in kind.__mro__), name):
        if key in VALUES:
            return VALUES[key]
    raise LookupError(f"write an example of {kind.__name__}.{name} into VALUES of deploy/checks/examples.py")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
