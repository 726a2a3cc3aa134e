"""Settings of ticketing."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from chassis.settings import DevelopmentDefault, ServiceSettings

DEVELOPMENT_KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIKurba2aSpxWdXrBeeWEqYfaTaAfw8Pj5HaYk0hKW2aC
-----END PRIVATE KEY-----
"""
DEVELOPMENT_TICKET_KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIP9YPqHnfJRTKjqoqvWMrkl5N1C94mdMthoh3cLXlNCI
-----END PRIVATE KEY-----
"""


class Settings(ServiceSettings):
    service: ClassVar[str] = "ticketing"

    quote_signing_key: Annotated[SecretStr, DevelopmentDefault()] = SecretStr(DEVELOPMENT_KEY)
    """Ed25519 private key in PEM: signs quotes."""
    quote_published_keys: str = ""
    """Public keys (PEM, one after another) published besides: the next key before a rotation, the last one after."""
    ticket_signing_key: Annotated[SecretStr, DevelopmentDefault()] = SecretStr(DEVELOPMENT_TICKET_KEY)
    """Ed25519 private key in PEM: signs the codes on tickets."""
    ticket_published_keys: str = ""
    """Public keys (PEM, one after another) whose codes are good besides: those of tickets sold before a rotation."""

    max_plan_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    """Size of a seating plan that is imported."""

    hold_seconds: Annotated[int, Field(ge=1)] = 900
    """How long a buyer has the seats before an order is placed (GAP-16)."""
    hold_limit_seconds: Annotated[int, Field(ge=1)] = 3600
    """However often a buyer extends, a hold ends so long after it was placed."""
    payment_buffer_seconds: Annotated[int, Field(ge=0)] = 120
    """A hold outlives its order's pay-by time by so much, for payments on their way."""
    hold_max_seats: Annotated[int, Field(ge=1)] = 50
    """Seats in one hold of a buyer."""
    staff_hold_max_seats: Annotated[int, Field(ge=1)] = 2000
    """Seats in one hold of the ticket desk: group orders."""

    buyer_max_seats: Annotated[int, Field(ge=0)] = 100
    """Seats of a show that one account may hold at once; 0 turns the limit off. The desk has none. Only
    accounts whose address is proven count."""
    buyer_max_seats_together: Annotated[int, Field(ge=0)] = 200
    """The same in all shows together."""
    address_max_seats: Annotated[int, Field(ge=0)] = 300
    """The same for all behind one address (IPv6: one /64), whoever they are. In development not for this machine."""
    address_max_seats_together: Annotated[int, Field(ge=0)] = 600
    """The same in all shows together."""

    show_hours: Annotated[int, Field(ge=1)] = 12
    """Nothing is sold once a show has begun. So long after that it is finished; till then late payments count."""

    hold_days: Annotated[int, Field(ge=1)] = 400
    """Holds that ended without tickets are kept so long after the show began, for its statistics."""

    interest_days: Annotated[int, Field(ge=1)] = 90
    """Holds that ended without an order are kept so long."""

    hold_lanes: Annotated[int, Field(ge=1)] = 1
    """Lanes of this process; every show is in one."""
    hold_batch: Annotated[int, Field(ge=1)] = 128
    """Holds taken by one statement."""
    hold_queue: Annotated[int, Field(ge=1)] = 4096
    """Requests waiting in a lane; further ones are told to come back."""
    hold_wait_seconds: Annotated[float, Field(gt=0)] = 3.0
    """A request that waited so long is told to come back."""

    seats_in_memory: Annotated[int, Field(ge=1)] = 1_000_000
    """Seats of the halls, of the priced shows and of the seat maps that are kept in memory, each."""
    seatmap_refresh_seconds: Annotated[float, Field(gt=0)] = 15.0
    """The seats in memory are read anew so often, should an event have been missed."""
    document_days: Annotated[int, Field(ge=1)] = 400
    """How long a link to a ticket document works."""
    document_queue: Annotated[int, Field(ge=0)] = 50
    """Documents that wait to be printed; who asks for further ones is told to come back."""
    document_link_requests: Annotated[int, Field(ge=1)] = 4
    """Requests for one document at once."""
    document_cache_bytes: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024
    """Printed documents that are kept in the memory of this process; 0: none."""
