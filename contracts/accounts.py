"""Events of the gateway: organisations, and the accounts of buyers and staff (ORD-26, REG-6, ROL-1..15, SET-10)."""

from __future__ import annotations

from uuid import UUID

from contracts.envelope import EventData, Open, Part
from contracts.money import Currency


class Role(Open):
    """What a member of staff may do in one organisation (section 11.1). Buyers need no role."""

    ORGANIZER = "organizer"
    SCHOOL_STAFF = "school_staff"
    SALES_MANAGER = "sales_manager"
    SALES_HEAD = "sales_head"
    STOREKEEPER = "storekeeper"
    TICKET_ORGANIZER = "ticket_organizer"
    TICKET_DESK = "ticket_desk"
    PROJECT_HEAD = "project_head"
    SUPPORT = "support"


BACK_OFFICE = frozenset(Role) - {Role.STOREKEEPER}
"""Who works with orders and customers, and may therefore see what was written to them and what it sums up to."""


class OrganisationState(EventData):
    organisation_id: UUID
    slug: str
    name: str
    currency: Currency
    locale: str
    """en, uk, pl or ru: the language of messages when the recipient's is not known."""
    time_zone: str
    """IANA name, such as Europe/Kyiv."""
    phone_region: str
    """ISO 3166 code used to read phone numbers written without a country code."""
    staff_email: str
    staff_phone: str | None = None
    """Where staff are told that an invoice was ordered (NTF-1)."""

    def key(self) -> UUID:
        return self.organisation_id


class OrganisationRegistered(OrganisationState, type="accounts.organisation.registered.v1"):
    """An organisation has its back office (TKT-5, SET-10)."""


class OrganisationChanged(OrganisationState, type="accounts.organisation.changed.v1"):
    """An organisation's settings were changed."""


class Membership(Part):
    organisation_id: UUID
    roles: tuple[Role, ...]


class AccountState(EventData):
    account_id: UUID
    email: str
    name: str
    phone: str | None = None
    locale: str
    memberships: tuple[Membership, ...] = ()

    def key(self) -> UUID:
        return self.account_id


class AccountRegistered(AccountState, type="accounts.account.registered.v1"):
    """A person has an account on the platform: the data they entered themselves (REG-6, REG-7)."""


class AccountChanged(AccountState, type="accounts.account.changed.v1"):
    """A person's own data, or their roles, were changed."""
