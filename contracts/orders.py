"""Events of orders: the order in all its stages, and its payments (sections 1.4, 1.6, 1.8, 1.9)."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from contracts.envelope import EventData, Instant, Open, Part
from contracts.money import Currency, Money


class FunnelStage(StrEnum):
    """How far the customer came (ORD-28..34, GAP-8)."""

    INTERESTED = "interested"
    WISHLIST = "wishlist"
    WATCHING_PRICE = "watching_price"
    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    CANCELLED = "cancelled"


class PaymentStatus(StrEnum):
    """Derived from the payment events of an order (ORD-88..91)."""

    NOT_PAID = "not_paid"
    HOLD = "hold"
    """The buyer has paid, the money has not yet arrived."""
    MONEY_RECEIVED = "money_received"
    PARTIALLY_REFUNDED = "partially_refunded"
    MONEY_REFUNDED = "money_refunded"


class PaymentMethod(Open):
    CARD = "card"
    INVOICE = "invoice"
    """Order an invoice (ORD-39)."""
    MANUAL = "manual"
    """Paid outside the platform and entered by staff (ORD-41)."""


class LineKind(Open):
    SEAT = "seat"
    PLACE = "place"
    """Places of an area, such as standing room."""
    COURSE = "course"
    GOODS = "goods"


class GivenBy(Open):
    """Who gives the buyer what a line sells."""

    TICKETING = "ticketing"
    SCHOOL = "school"
    WAREHOUSE = "warehouse"


class Customer(Part):
    """The person who orders, as typed in the order (CUS-12)."""

    name: str
    email: str | None = None
    phone: str | None = None
    account_id: UUID | None = None


class Participant(Part):
    """The person who will hold a ticket (ORD-4, REG-6)."""

    name: str
    email: str | None = None
    phone: str | None = None


class OrderLine(Part):
    line_id: UUID
    kind: LineKind
    reference: str
    """Seat guid, or the id of the area or offer."""
    title: str
    quantity: int = 1
    unit_price: Money
    total: Money
    """What the line costs: `quantity` times `unit_price`, less the discount."""
    participant: Participant | None = None
    given_by: GivenBy | None = None
    """None in records written before lines said it."""
    show_id: UUID | None = None
    """Of seats and places; with `hold_id`, which ticketing has them by: without one, by the order's id."""
    hold_id: UUID | None = None
    zone_name: str | None = None
    fare: str | None = None
    fare_name: str | None = None
    discount: Money | None = None
    discount_reason: str | None = None
    tax: Money | None = None
    """Contained in `total`."""
    tax_rate: str | None = None
    """Percent, as a decimal number: "20", "7.5"."""
    given: int = 0
    """How many of `quantity` the buyer has been given."""
    returned: int = 0
    """How many were taken back: void tickets, goods sent back."""
    refunded: Money | None = None
    """What was paid back of the line."""


class OrderState(EventData):
    """The whole order after a change, so that nobody has to call back."""

    order_id: UUID
    number: str
    """What people say on the phone; unique in the organisation."""
    stage: FunnelStage
    payment_status: PaymentStatus
    payment_method: PaymentMethod | None = None
    currency: Currency
    total: Money
    paid: Money
    """Received, before refunds."""
    refunded: Money
    customer: Customer | None = None
    show_id: UUID | None = None
    offer_id: UUID | None = None
    title: str
    """Name of the show, course or first goods."""
    lines: tuple[OrderLine, ...]
    locale: str = "en"
    created_at: Instant
    order_url: str | None = None
    """Signed link that opens the order without an account."""

    def key(self) -> UUID:
        return self.order_id


class OrderInterested(OrderState, type="orders.order.interested.v1"):
    """A person reached the ticket selection and chose seats, but did not go on to pay (ORD-30)."""


class OrderPlaced(OrderState, type="orders.order.placed.v1"):
    """An order awaits payment (ORD-29). Its hold must live until `pay_by` and a buffer."""

    pay_by: Instant


class OrderPaid(OrderState, type="orders.order.paid.v1"):
    """The money for an order is held or received, or staff marked it paid (ORD-28, ORD-48)."""


class OrderConfirmed(OrderState, type="orders.order.confirmed.v1"):
    """A paid order has everything that was bought: its tickets exist."""


class OrderExpired(OrderState, type="orders.order.expired.v1"):
    """An order was not paid in time and is cancelled; its seats may be sold to others."""


class OrderCancelled(OrderState, type="orders.order.cancelled.v1"):
    """An order was cancelled. Participants are told only if it was paid (ORD-52, ORD-53)."""

    was_paid: bool
    reason: str
    """by_buyer, by_staff, deleted, hold_released, expired, refunded, seats_unavailable, payment_lost,
    dispute_lost, entry_reversed, or what staff wrote."""


class RevokedPlaces(Part):
    """So many tickets of a line of places."""

    line_id: UUID
    quantity: int


class TicketsRevoked(EventData, type="orders.order.tickets_revoked.v1"):
    """Tickets must become void before their money goes back. Answered by `ticketing.ticket.voided.v1`."""

    order_id: UUID
    hold_id: UUID | None = None
    """The hold that the tickets were made of, if the order has another id. Each hold has an event of its own."""
    show_id: UUID
    request_id: UUID
    seats: tuple[str, ...]
    places: tuple[RevokedPlaces, ...] = ()
    reason: str
    """cancelled or refunded."""

    def key(self) -> UUID:
        return self.order_id


class SeatsUnclaimed(EventData, type="orders.order.seats_unclaimed.v1"):
    """Answers `ticketing.hold.lapsed.v1`: nobody awaits or has paid for the seats of the hold, and from now on nobody
    can order them by it."""

    order_id: UUID
    hold_id: UUID | None = None
    """The hold, if the order that was asked about has another id."""
    show_id: UUID

    def key(self) -> UUID:
        return self.order_id


class OrderRefunded(OrderState, type="orders.order.refunded.v1"):
    """Money went back to the buyer, for the whole order or for some of its lines (ORD-57)."""

    refund_id: UUID
    amount: Money
    line_ids: tuple[UUID, ...]
    full: bool
    """Whether nothing of the order remains paid."""


class OrderChanged(OrderState, type="orders.order.changed.v1"):
    """Something else of an order was changed: its customer, participants, lines, method, or the time to pay."""

    pay_by: Instant | None = None
    """While the order awaits payment: its hold must live until then and a buffer, as with `OrderPlaced`."""


class OrderDeleted(OrderState, type="orders.order.deleted.v1"):
    """An order was taken out of the lists (ORD-54, GAP-21). Its payments remain."""


class PaymentState(EventData):
    payment_id: UUID
    order_id: UUID
    order_number: str
    provider: str
    """stripe, sandbox or manual."""
    provider_reference: str | None = None
    amount: Money
    """What this event is about: held, received or refunded."""

    def key(self) -> UUID:
        return self.order_id


class PaymentStarted(PaymentState, type="orders.payment.started.v1"):
    """The buyer was sent to the provider's card page."""


class PaymentHeld(PaymentState, type="orders.payment.held.v1"):
    """The money is authorised but not yet received (ORD-89)."""


class PaymentReceived(PaymentState, type="orders.payment.received.v1"):
    """The money is received (ORD-90)."""


class PaymentFailed(PaymentState, type="orders.payment.failed.v1"):
    """The provider refused."""

    reason: str
    """The provider's code, such as card_declined, or how the payment ended: failed, expired or cancelled."""


class PaymentRefundDue(PaymentState, type="orders.payment.refund_due.v1"):
    """Money that came by hand must go back by hand: staff send it, and `PaymentRefunded` follows when they say so."""

    refund_id: UUID


class PaymentRefunded(PaymentState, type="orders.payment.refunded.v1"):
    """Money was returned to the buyer (ORD-91)."""

    refund_id: UUID
    reason: str
    """surplus; at_provider, if somebody did it there; or why the order was cancelled (see `OrderCancelled`)."""


class PaymentReversed(PaymentState, type="orders.payment.reversed.v1"):
    """Staff had entered a payment by mistake: there never was any money."""


class PaymentRefundFailed(PaymentState, type="orders.payment.refund_failed.v1"):
    """The provider will not send money back: the account is closed, or it refused too often. Staff send it in another
    way, see `PaymentRefundDue`."""

    refund_id: UUID
    reason: str
    """The provider's words, such as account_closed."""
    came_back: bool = False
    """It was told as refunded before: the money is the organisation's again."""


class PaymentRefundWrittenOff(PaymentState, type="orders.payment.refund_written_off.v1"):
    """Money that is owed to a buyer and will never be sent, as staff say."""

    refund_id: UUID


class PaymentDisputed(PaymentState, type="orders.payment.disputed.v1"):
    """A buyer asks a bank for the money back; the provider has taken it until the bank has decided."""

    dispute_id: UUID
    reason: str
    """The bank's word, such as fraudulent."""


class PaymentDisputeDecided(PaymentState, type="orders.payment.dispute_decided.v1"):
    """A bank has decided. If it was lost, `PaymentRefunded` says so of the money."""

    dispute_id: UUID
    won: bool
    """By the organisation, which has the money again."""


class OfferKind(Open):
    COURSE = "course"
    GOODS = "goods"


class OfferState(EventData):
    """A course or goods in the catalogue (CAT-1, CAT-2)."""

    offer_id: UUID
    kind: OfferKind
    sku: str
    name: str
    price: Money
    invoice_allowed: bool = False
    on_sale: bool = True

    def key(self) -> UUID:
        return self.offer_id


class OfferPublished(OfferState, type="orders.offer.published.v1"):
    """A course or goods entered the catalogue."""


class OfferChanged(OfferState, type="orders.offer.changed.v1"):
    """A course or goods of the catalogue was changed."""


class EnrolmentOpened(EventData, type="orders.enrolment.opened.v1"):
    """The buyer of a course became a student and has access to it (ORD-50, REG-12, NTF-9)."""

    enrolment_id: UUID
    order_id: UUID
    order_number: str
    offer_id: UUID
    course: str
    student: Participant
    access_url: str
    locale: str = "en"

    def key(self) -> UUID:
        return self.enrolment_id
