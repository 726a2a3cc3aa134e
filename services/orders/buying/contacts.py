"""Contact data as people type them, brought to the form in which they are compared and written to (CUS-12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.people import normalise_email, phone_to_keep
from chassis.texts import ONE_LINE, Named
from services.orders.errors import BadContact
from services.orders.known import Organisation


class Person(BaseModel):
    """Who orders, or who will hold a ticket."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: Named
    email: Annotated[str, Field(max_length=254), ONE_LINE] | None = None
    phone: Annotated[str, Field(max_length=40), ONE_LINE] | None = None


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
        try:
            phone = phone_to_keep(person.phone, region)
        except ValueError as reason:
            raise BadContact(f"The phone number of {who} {reason}.", field="phone") from None
    return Contact(person.name, email, phone)


def reachable(person: Contact, who: str) -> Contact:
    """Raises `BadContact` for a person whom no message can reach."""
    if person.email is None and person.phone is None:
        raise BadContact(f"Give an e-mail address or a phone number of {who}.")
    return person
