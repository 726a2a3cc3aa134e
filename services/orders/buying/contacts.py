"""Contact data as people type them, brought to the form in which they are compared and written to (CUS-12)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.people import normalise_email, normalise_phone
from services.orders.errors import BadContact
from services.orders.known import Organisation


class Person(BaseModel):
    """Who orders, or who will hold a ticket."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=200)
    email: str | None = Field(default=None, max_length=254)
    phone: str | None = Field(default=None, max_length=40)


@dataclass(frozen=True, slots=True)
class Contact:
    name: str
    email: str | None
    phone: str | None


async def region_of(session: AsyncSession, organisation: UUID, default: str) -> str:
    """How the organisation reads phone numbers without a country code."""
    known = await session.get(Organisation, organisation)
    return known.phone_region if known else default


def contact(person: Person, region: str, who: str) -> Contact:
    """Raises `BadContact` for an address or number that nothing can be sent to; `who` names the person in it."""
    email = phone = None
    if person.email:
        email = normalise_email(person.email)
        if email is None:
            raise BadContact(f"The e-mail address of {who} is not valid.", field="email")
    if person.phone:
        phone = normalise_phone(person.phone, region)
        if phone is None:
            raise BadContact(f"The phone number of {who} is not valid in {region}.", field="phone")
    return Contact(person.name, email, phone)


def reachable(person: Contact, who: str) -> Contact:
    """Raises `BadContact` for a person whom no message can reach."""
    if person.email is None and person.phone is None:
        raise BadContact(f"Give an e-mail address or a phone number of {who}.")
    return person
