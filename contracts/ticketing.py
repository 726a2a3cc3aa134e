"""Events of ticketing: shows, holds of seats, and tickets (TKT-7..23, REG-4..10)."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from contracts.envelope import EventData, Instant, Open, Part
from contracts.money import Currency, Money


class ShowStatus(StrEnum):
    """GAP-15."""

    DRAFT = "draft"
    ON_SALE = "on_sale"
    SALES_STOPPED = "sales_stopped"
    REPLACED = "replaced"
    CANCELLED = "cancelled"
    FINISHED = "finished"


class Channel(Open):
    """Where it was asked for."""

    SITE = "site"
    DESK = "desk"
    """The organisation's own staff."""
    PARTNER = "partner"
    RESERVE = "reserve"
    """Kept back by the organisation."""


FULL_FARE = "full"
"""The fare of a zone that has no others."""


class Fare(Part):
    """What one kind of visitor pays in a zone: full, child, reduced, free."""

    fare: str
    name: str
    price: Money


class PriceZone(Part):
    zone_id: UUID
    """Stays when the zone gets another name."""
    name: str
    price: Money
    seats: int
    """Number of seats sold at this price."""
    fares: tuple[Fare, ...] = ()
    """The first is what is asked for unless another is chosen; empty where everybody pays `price`."""


class Area(Part):
    """Places that nobody chooses one by one: standing room, a kind of ticket."""

    area_id: UUID
    name: str
    zone_id: UUID
    capacity: int


class ShowState(EventData):
    """Everything a listener may want to know of a show after a change."""

    show_id: UUID
    name: str
    starts_at: Instant
    hall_id: UUID
    hall_name: str
    status: ShowStatus
    currency: Currency
    price_zones: tuple[PriceZone, ...]
    capacity: int
    """Seats of the hall, priced or not."""
    areas: tuple[Area, ...] = ()
    invoice_allowed: bool = False
    """Whether "Order an invoice" is offered (ORD-39)."""

    def key(self) -> UUID:
        return self.show_id


class ShowCreated(ShowState, type="ticketing.show.created.v1"):
    """Staff created a show (TKT-8)."""


class ShowChanged(ShowState, type="ticketing.show.changed.v1"):
    """A show's name, date, prices or settings were changed, or it is over: its status is `finished` (GAP-15)."""


class ShowSaleStarted(ShowState, type="ticketing.show.sale_started.v1"):
    """Seats can be bought from now on (TKT-14)."""


class ShowSaleStopped(ShowState, type="ticketing.show.sale_stopped.v1"):
    """Seats cannot be bought any more (TKT-25)."""


class HeldSeat(Part):
    seat: str
    """`seat_guid` of the hall's plan."""
    label: str
    """How a person finds it: zone, row and number."""
    zone_id: UUID
    zone_name: str
    price: Money
    fare: str = FULL_FARE
    fare_name: str | None = None
    """None where the zone has one fare."""


class HeldPlaces(Part):
    """Some places of an area at one fare."""

    area: UUID
    label: str
    zone_id: UUID
    zone_name: str
    fare: str = FULL_FARE
    fare_name: str | None = None
    quantity: int
    price: Money
    """Of one place."""


class PlacesOf(Part):
    area: UUID
    fare: str = FULL_FARE
    quantity: int


class HoldPlaced(EventData, type="ticketing.hold.placed.v1"):
    """A buyer holds seats for a limited time (TKT-15). The order that may follow has the same id as the hold."""

    hold_id: UUID
    show_id: UUID
    show_name: str
    starts_at: Instant
    seats: tuple[HeldSeat, ...]
    places: tuple[HeldPlaces, ...] = ()
    total: Money
    expires_at: Instant
    account_id: UUID | None = None
    channel: Channel = Channel.SITE
    name: str | None = None
    """Who staff keep it for."""

    def key(self) -> UUID:
        return self.hold_id


class HoldExtended(EventData, type="ticketing.hold.extended.v1"):
    """A hold lives longer (TKT-20)."""

    hold_id: UUID
    show_id: UUID
    expires_at: Instant
    seats: tuple[str, ...] = ()
    """All seats of the hold; if it had run out, they are taken again. Empty in records written before 1.1.0."""
    places: tuple[PlacesOf, ...] = ()
    pay_by: Instant | None = None
    """Set when staff give the buyer of an order more time: the order may be paid until then."""

    def key(self) -> UUID:
        return self.hold_id


class HoldLapsed(EventData, type="ticketing.hold.lapsed.v1"):
    """The time of a hold is over. Its seats stay its own until orders has answered that nobody ordered them
    (`orders.order.seats_unclaimed.v1`), or its order is cancelled, not paid in time, or paid."""

    hold_id: UUID
    show_id: UUID
    currency: Currency

    def key(self) -> UUID:
        return self.hold_id


class HoldEnd(StrEnum):
    """Why a hold ended without tickets (GAP-15)."""

    RELEASED = "released"
    """The buyer let go."""
    ANNULLED = "annulled"
    """Staff let go (TKT-21), or the order was cancelled."""
    EXPIRED = "expired"


class HoldReleased(EventData, type="ticketing.hold.released.v1"):
    """Seats and places of a hold are free again: all of them, or some, while it keeps the rest."""

    hold_id: UUID
    show_id: UUID
    seats: tuple[str, ...]
    places: tuple[PlacesOf, ...] = ()
    reason: HoldEnd
    remaining: int = 0
    """Seats and places that the hold still has; 0 when it is over."""

    def key(self) -> UUID:
        return self.hold_id


class HoldConversionRefused(EventData, type="ticketing.hold.conversion_refused.v1"):
    """A paid order cannot have its tickets: seats were sold to somebody else, or the show is closed. Refund it."""

    hold_id: UUID
    show_id: UUID
    order_id: UUID | None = None
    """The order that paid for it, if it has another id than the hold."""
    seats: tuple[str, ...]
    """The seats that cannot be had."""
    places: tuple[PlacesOf, ...] = ()
    reason: str
    """For people, in English: the order was cancelled, the show is closed, or the seats were sold to somebody else."""

    def key(self) -> UUID:
        return self.hold_id


class Holder(Part):
    """Who is printed on a ticket: what the customer entered when ordering (REG-6, DOC-1)."""

    name: str
    email: str | None = None
    phone: str | None = None


class Ticket(Part):
    ticket_id: UUID
    number: str
    """The number of the registration, the same for every document about it (REG-5)."""
    seat: str
    """Empty for a place of an area."""
    area: UUID | None = None
    label: str
    zone_name: str
    fare: str = FULL_FARE
    fare_name: str | None = None
    price: Money
    holder: Holder
    line_id: UUID | None = None
    """The line of the order that it was given for: n places of a line are n tickets."""


class TicketDocument(Part):
    """One PDF with the tickets of one recipient; `url` is signed and needs no sign-in."""

    recipient: Holder
    ticket_ids: tuple[UUID, ...]
    url: str


class TicketsIssued(EventData, type="ticketing.ticket.issued.v1"):
    """All tickets of a paid order exist (REG-9)."""

    order_id: UUID
    hold_id: UUID | None = None
    """The hold that became tickets, if the order has another id."""
    show_id: UUID
    show_name: str
    starts_at: Instant
    hall_name: str
    tickets: tuple[Ticket, ...]
    documents: tuple[TicketDocument, ...]
    """One per distinct participant address: exactly one message is sent for each."""

    def key(self) -> UUID:
        return self.order_id


class TicketsVoided(EventData, type="ticketing.ticket.voided.v1"):
    """Tickets of an order are no longer valid and their seats are free again (REG-10)."""

    order_id: UUID
    hold_id: UUID | None = None
    show_id: UUID
    show_name: str
    starts_at: Instant
    tickets: tuple[Ticket, ...]
    reason: str
    """cancelled or refunded."""
    request_id: UUID
    """The refund or cancellation that asked for it, as named by `orders.order.tickets_revoked.v1`."""

    def key(self) -> UUID:
        return self.order_id
