"""Tables of the gateway: organisations, accounts with their roles, sessions and API keys.

Secrets are never stored: passwords as argon2 hashes, session tokens and API keys as SHA-256 of 256 random bits.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship
from uuid_utils.compat import uuid7

from chassis.db import ServiceBase, service_metadata


class Base(ServiceBase):
    metadata = service_metadata()


class Organisation(Base):
    """A client organisation with a back office of its own (TKT-5, SET-10)."""

    __tablename__ = "organisation"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid7)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    currency: Mapped[str]
    locale: Mapped[str]
    time_zone: Mapped[str]
    phone_region: Mapped[str]
    staff_email: Mapped[str]
    staff_phone: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Account(Base):
    """A person on the platform: one account, whether they buy, work for an organisation, or both (REG-6, ORD-26)."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid7)
    email: Mapped[str]
    email_key: Mapped[str] = mapped_column(unique=True)
    """The e-mail as it is compared: normalised and in lower case."""
    name: Mapped[str]
    phone: Mapped[str | None]
    locale: Mapped[str]
    password_hash: Mapped[str | None]
    """None: nobody can sign in with a password."""
    password_expires_at: Mapped[datetime | None]
    """Set for a one-time password (ROL-13): until it is changed, it opens nothing but changing it."""
    made_by: Mapped[UUID | None] = mapped_column(ForeignKey("organisation.id"))
    """The organisation that made the account for a member of its staff. None: the person opened it, or has left."""
    verified_at: Mapped[datetime | None]
    """When its person proved that they read the address. Until then it is nobody's: services are not told of it."""
    shared_with: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), default=list, server_default=text("'{}'"))
    """Organisations that the person lets see what they entered, wherever their address stands."""
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def verified(self) -> bool:
        return self.verified_at is not None

    memberships: Mapped[list[Membership]] = relationship(
        back_populates="account", lazy="raise", order_by="Membership.organisation"
    )


class Membership(Base):
    """The roles of a person in one organisation."""

    __tablename__ = "membership"
    __table_args__ = (CheckConstraint("cardinality(roles) > 0", name="has_roles"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    organisation: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), primary_key=True, index=True)
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    invitation_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Set while the person has not confirmed with the code that the organisation gave them: no role counts yet."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    account: Mapped[Account] = relationship(back_populates="memberships", lazy="raise")


class Letter(Base):
    """A mailed link to the account of an address, used once. What its token is made of is stored nowhere."""

    __tablename__ = "letter"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid7)
    email: Mapped[str]
    locale: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class Guess(Base):
    """How often something was tried that must not be tried without end, in all processes together."""

    __tablename__ = "guess"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """A digest: who and what is counted is not to be read here."""
    until: Mapped[datetime] = mapped_column(index=True)
    """When nothing of it counts any more; each try moves it by one step."""


class SignInSession(Base):
    """A browser that is signed in."""

    __tablename__ = "sign_in_session"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid7)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    client: Mapped[str]
    """Address and program, so that a person recognises the session in their list."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ApiKey(Base):
    """A program that acts for an account in one organisation, with some of its roles."""

    __tablename__ = "api_key"
    __table_args__ = (Index("ix_api_key_account_id_organisation", "account_id", "organisation"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid7)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    hint: Mapped[str]
    """The first characters, to recognise the key by."""
    name: Mapped[str]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    organisation: Mapped[UUID | None] = mapped_column(ForeignKey("organisation.id"))
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
