"""What ticketing keeps of organisations and of people's own data, from the events of the gateway."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Index, Uuid, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis.projections import keep_newest
from contracts.accounts import AccountState, OrganisationState
from services.ticketing.base import Base


class OrganisationProfile(Base):
    """How an organisation's tickets are printed."""

    __tablename__ = "organisation_profile"

    organisation: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    locale: Mapped[str] = mapped_column(server_default="en")
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    version: Mapped[int] = mapped_column(server_default="0")


class Person(Base):
    """The data somebody entered when they registered on the platform (REG-6, REG-7). They belong to no organisation."""

    __tablename__ = "person"
    __table_args__ = (Index("ix_person_email", text("lower(email)")),)

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    phone: Mapped[str | None]
    shared_with: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    """Organisations that may see these data wherever the address stands."""
    version: Mapped[int] = mapped_column(server_default="0")


DEFAULT_PROFILE = OrganisationProfile(name="", locale="en", time_zone="UTC", version=0)


async def profile_of(session: AsyncSession, organisation: UUID) -> OrganisationProfile:
    """The organisation's profile, or a neutral one as long as nothing was heard of it."""
    return await session.get(OrganisationProfile, organisation) or DEFAULT_PROFILE


async def keep_organisation(session: AsyncSession, state: OrganisationState, version: int) -> None:
    """Keeps the newest state; an older event changes nothing."""
    new = {"name": state.name, "locale": state.locale, "time_zone": state.time_zone, "version": version}
    await keep_newest(session, OrganisationProfile, {"organisation": state.organisation_id, **new})


async def keep_person(session: AsyncSession, state: AccountState, version: int) -> None:
    """Keeps the newest state; an older event changes nothing."""
    new = {
        "name": state.name,
        "email": state.email,
        "phone": state.phone,
        "shared_with": list(state.shared_with),
        "version": version,
    }
    await keep_newest(session, Person, {"account_id": state.account_id, **new})


async def people_by_email(session: AsyncSession, emails: set[str]) -> dict[str, Person]:
    """People by address in lower case."""
    if not emails:
        return {}
    found = await session.scalars(select(Person).where(func.lower(Person.email).in_({e.lower() for e in emails})))
    return {person.email.lower(): person for person in found}
