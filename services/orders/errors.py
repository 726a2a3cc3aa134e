"""Errors of orders as the caller sees them."""

from __future__ import annotations

from chassis.problems import Conflict, Invalid, NotFound, Unavailable


class OrderNotFound(NotFound):
    slug, title = "order-not-found", "There is no such order"


class OfferNotFound(NotFound):
    slug, title = "offer-not-found", "There is no such offer"


class NoAccess(NotFound):
    slug, title = "no-access", "Nothing opens here"


class PaymentNotFound(NotFound):
    slug, title = "payment-not-found", "There is no such payment"


class RefundNotFound(NotFound):
    slug, title = "refund-not-found", "There is no such refund"


class NotPossibleNow(Conflict):
    slug, title = "not-possible-now", "The order's state does not allow this"


class IdTaken(Conflict):
    slug, title = "id-taken", "Another order has this id"


class TooManyRows(Invalid):
    slug, title = "too-many-rows", "The export would be too large"


class HoldOver(Conflict):
    slug, title = "hold-over", "The seats are no longer held"


class ShowNotOnSale(Conflict):
    slug, title = "show-not-on-sale", "Tickets for this show are not sold any more"


class ShowMoved(Conflict):
    slug, title = "show-moved", "The show has another date than the buyer saw"


class InvoiceNotOffered(Conflict):
    slug, title = "invoice-not-offered", "These tickets cannot be ordered by invoice"


class OfferNotOnSale(Conflict):
    slug, title = "offer-not-on-sale", "The offer is not on sale"


class PriceChanged(Conflict):
    slug, title = "price-changed", "The price is another than the buyer saw"


class SkuTaken(Conflict):
    slug, title = "sku-taken", "Another offer has this article number"


class BadQuote(Invalid):
    slug, title = "bad-quote", "The quote is not about this order"


class BadContact(Invalid):
    slug, title = "bad-contact", "The contact data are not right"


class UnknownProvider(NotFound):
    slug, title = "unknown-provider", "There is no such payment provider"


class ProviderAway(Unavailable):
    slug, title = "provider-away", "The payment provider does not answer"
