"""What can go wrong in ticketing, as problems that say what to do."""

from __future__ import annotations

from chassis.problems import Conflict, Forbidden, Invalid, NotFound, Problem, TooManyRequests, Unavailable


class SeatingPlanRefused(Invalid):
    slug, title = "seating-plan-refused", "The seating plan cannot be used"


class NoSuchHall(NotFound):
    slug, title = "no-such-hall", "There is no such hall"


class NoSuchShow(NotFound):
    slug, title = "no-such-show", "There is no such show"


class NoSuchHold(NotFound):
    slug, title = "no-such-hold", "There is no such hold"


class PriceZonesRefused(Invalid):
    slug, title = "price-zones-refused", "The price zones do not fit the hall"


class ShowNotOnSale(Conflict):
    slug, title = "show-not-on-sale", "Tickets for this show cannot be bought now"


class ShowClosed(Conflict):
    slug, title = "show-closed", "The show cannot be changed in this state"


class DateIsPast(Invalid):
    slug, title = "date-is-past", "The show would have begun already"


class ConfirmFirst(Conflict):
    """`warnings` are what the change would do besides."""

    slug, title = "confirm-first", "Is this what you want?"


class SeatsTaken(Conflict):
    """`seats` are those of the request that are held or sold; `yours` those of them that the caller holds."""

    slug, title = "seats-taken", "Some of the seats are taken"


class PlacesTaken(Conflict):
    """`areas` say how many places are left of those that have not enough."""

    slug, title = "places-taken", "There are not so many places"


class NotTogether(Conflict):
    """`most` is how many there are together."""

    slug, title = "not-together", "There are not so many seats together"


class SeatsNotForSale(Invalid):
    slug, title = "seats-not-for-sale", "Some of it cannot be bought"


class HoldInvalid(Invalid):
    slug, title = "hold-invalid", "The hold is not asked for in the right way"


class TooManySeats(Invalid):
    slug, title = "too-many-seats", "Too many seats for one hold"


class TooManyHeld(Conflict):
    slug, title = "too-many-held", "You hold too many seats of this show already"


class OtherHoldHasThisId(Conflict):
    slug, title = "hold-id-used", "The hold id is used for other seats"


class HoldEnded(Conflict):
    slug, title = "hold-ended", "The hold has ended"


class HoldAtItsLimit(Conflict):
    slug, title = "hold-at-its-limit", "The hold cannot be extended any further"


class NotYourHold(Forbidden):
    slug, title = "not-your-hold", "This is not your hold"


class SaleBusy(TooManyRequests):
    slug, title = "sale-busy", "Very many people are buying at this moment"


class OutcomeUnknown(Unavailable):
    """The database went away while the hold was taken. The same hold id asked again gives the answer."""

    slug, title = "outcome-unknown", "It is not known yet whether you have the seats"


class DocumentVoid(Problem):
    status, slug, title = 410, "tickets-void", "These tickets are no longer valid"


class DocumentBusy(TooManyRequests):
    slug, title = "document-busy", "This document is being read many times at once"


class PrintersBusy(Unavailable):
    slug, title = "printers-busy", "Very many tickets are being printed"


class HoldOrdered(Conflict):
    slug, title = "hold-ordered", "An order needs these seats"
