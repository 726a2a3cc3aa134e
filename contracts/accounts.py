"""Events of the gateway: organisations, and the accounts of buyers and staff (ORD-26, REG-6, ROL-1..15, SET-10)."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from contracts.envelope import EventData, Instant, Open, Part
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
    shared_with: tuple[UUID, ...] = ()
    """Organisations to which the person shows these data wherever their address stands; an organisation that they order
    from while signed in sees them on that order."""

    def key(self) -> UUID:
        return self.account_id


class AccountRegistered(AccountState, type="accounts.account.registered.v1"):
    """A person has an account on the platform and has proved that they read its e-mail address: the data they entered
    themselves (REG-6, REG-7). Nothing is told of an account before."""


class AccountChanged(AccountState, type="accounts.account.changed.v1"):
    """A person's own data, or their roles, were changed."""


class LetterKind(StrEnum):
    """What the link in a letter does. Whoever asked is not told which one was sent."""

    OPEN_ACCOUNT = "open_account"
    """Nobody has an account with the address yet."""
    SIGN_IN = "sign_in"
    """Signs in, and lets its reader choose a new password."""


class LetterRequested(EventData, type="accounts.letter.requested.v1"):
    """Somebody asked for a mailed link to the account of an address. The event opens nothing: the link is made when the
    letter is written, with a secret that only its two services share. For them alone; kept for a day."""

    letter_id: UUID
    kind: LetterKind
    email: str
    name: str
    """Empty while nobody is known by the address."""
    locale: str
    expires_at: Instant

    def key(self) -> UUID:
        return self.letter_id
