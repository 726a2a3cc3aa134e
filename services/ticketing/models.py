"""All tables of ticketing, for migrations. Each area keeps its own beside its commands."""

from __future__ import annotations

from services.ticketing.base import Base
from services.ticketing.halls.tables import Hall
from services.ticketing.holds.tables import HeldPlaceRow, HeldSeatRow, Hold
from services.ticketing.people import OrganisationProfile, Person
from services.ticketing.shows.tables import AreaRow, PriceZoneRow, Show
from services.ticketing.tickets.tables import Document, OrderRecord, TicketRow

__all__ = [
    "AreaRow",
    "Base",
    "Document",
    "Hall",
    "HeldPlaceRow",
    "HeldSeatRow",
    "Hold",
    "OrderRecord",
    "OrganisationProfile",
    "Person",
    "PriceZoneRow",
    "Show",
    "TicketRow",
]
