"""What the gateway's own routes take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from chassis.people import ANYWHERE, phone_to_keep
from chassis.texts import ONE_LINE, Named
from contracts.accounts import Role
from services.gateway.passwords import LONGEST, SHORTEST
from services.gateway.regional import Currency, Region, TimeZone


def _number(raw: str) -> str:
    return phone_to_keep(raw, ANYWHERE)


Name = Named
Email = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=254)]
Phone = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=3, max_length=40), ONE_LINE, AfterValidator(_number)
]
Password = Annotated[str, StringConstraints(min_length=SHORTEST, max_length=LONGEST)]
Guess = Annotated[str, StringConstraints(max_length=LONGEST)]
Locale = Literal["en", "uk", "pl", "ru"]
Organisations = Annotated[list[UUID], Field(max_length=200)]
Roles = Annotated[list[Role], Field(min_length=1, max_length=len(Role))]


class Input(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Output(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LetterAsked(Input):
    email: Email
    locale: Locale = "en"
    """Of the letter, if the address is nobody's yet."""


class LetterAnswer(Output):
    """The same whether there is an account or not."""

    detail: str


class LetterUse(Input):
    """What its reader says. Who has no account yet names themselves; a password may be left out, and replaces the one
    before if it is given."""

    token: Annotated[str, StringConstraints(max_length=1000)]
    name: Name | None = None
    phone: Phone | None = None
    password: Password | None = None
    shared_with: Organisations = Field(default_factory=list)
    """Of a new account: who may see these data, wherever the address stands. Others see them on what is ordered from
    them while signed in."""


class SignIn(Input):
    email: Email
    password: Guess


class PasswordChange(Input):
    current: Guess
    new: Password


class PersonChange(Input):
    """What is left out stays. A phone that is null is removed."""

    name: Name | None = None
    phone: Phone | None = None
    locale: Locale | None = None
    shared_with: Organisations | None = None


class InvitationCode(Input):
    code: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]


class NewKey(Input):
    """A key acts in the organisation the caller acts in, with `roles` or, if left out, all the caller's roles."""

    name: Name
    roles: list[Role] | None = None
    expires_in_days: int = Field(default=365, ge=1, le=730)


class NewStaff(Input):
    email: Email
    name: Name
    roles: Roles
    phone: Phone | None = None
    locale: Locale = "en"


class NewRoles(Input):
    roles: Roles


class OrganisationChange(Input):
    """What is left out stays. A phone that is null is removed."""

    name: Name | None = None
    staff_email: Email | None = None
    staff_phone: Phone | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    phone_region: Region | None = None
    currency: Currency | None = None
    """Of what is offered from then on."""


class AccountOut(Output):
    id: UUID
    email: str
    name: str
    phone: str | None
    locale: str
    verified: bool
    """Whether the person has proved that they read the address (`POST /auth/letters`)."""


class OwnAccount(AccountOut):
    shared_with: list[UUID]
    """Organisations that see these data wherever the address stands."""


class SignedIn(Output):
    account: OwnAccount
    csrf_token: str
    """Send it back as `X-CSRF-Token` with every request that changes something."""
    password_change_required: bool
    """True after a one-time password: nothing but `POST /auth/password` works until it is changed."""


class OrganisationRef(Output):
    id: UUID
    slug: str
    name: str


class MembershipOut(Output):
    organisation: OrganisationRef
    roles: list[Role]
    confirmed: bool
    """False: the roles do not count before `POST /auth/invitations/accept`."""


class Me(Output):
    account: OwnAccount
    organisation: UUID | None
    """The organisation this request acts in."""
    roles: list[Role]
    """The roles there."""
    memberships: list[MembershipOut]
    csrf_token: str | None
    password_change_required: bool


class SessionOut(Output):
    id: UUID
    client: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    current: bool = False


class SessionList(Output):
    items: list[SessionOut]


class KeyOut(Output):
    id: UUID
    name: str
    hint: str
    """How the key begins."""
    organisation: UUID | None
    roles: list[Role]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class NewKeyOut(KeyOut):
    key: str
    """The secret; it is shown only now."""


class KeyList(Output):
    items: list[KeyOut]


class StaffOut(AccountOut):
    version: int
    """Of the account: `"v<version>"` is what If-Match wants."""
    roles: list[Role]
    confirmed: bool


class StaffList(Output):
    items: list[StaffOut]


class NewStaffOut(StaffOut):
    one_time_password: str | None
    """Give it to the person; None if they have an account already."""
    invitation_code: str | None
    """For a person who has an account already: they enter it once, signed in."""


class OneTimePassword(Output):
    one_time_password: str


class OrganisationOut(OrganisationRef):
    currency: str
    locale: str
    time_zone: str
    phone_region: str
    staff_email: str
    staff_phone: str | None
