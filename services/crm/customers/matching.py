"""Finds the customer that contact data belong to, or makes one (CUS-12).

A customer is known by normalised e-mail, phone number and account. The contacts are claimed first, all in one
statement, for a customer that may not be needed: the unique constraint makes a concurrent transaction with the same
contact wait and then see ours. So two events about one person at the same moment give one customer, whatever partition
they are in.

When contacts belong to two customers, the e-mail decides, then the phone, then the account. The weaker contact stays
with its owner, and the overlap is noted for staff. People share phones: one that comes with an e-mail nobody has and
with another name is somebody else's order, and an overlap. The same goes for an account. Nothing is merged by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from uuid_utils.compat import uuid7

from chassis.people import normalise_email, normalise_phone
from contracts.crm import CustomerRegistered
from services.crm import metrics
from services.crm.customers.names import may_be_one
from services.crm.customers.told import changed, publish
from services.crm.models import Account, Alias, AliasKind, Customer

UNKNOWN_REGION = "ZZ"
"""With it only numbers that name their country can be read."""

CLAIM = text("""
    INSERT INTO alias (id, organisation, kind, value, raw, customer_id)
    SELECT id, :organisation, kind, value, raw, :candidate
    FROM unnest(CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:values AS text[]), CAST(:raws AS text[]))
         AS new (id, kind, value, raw)
    ORDER BY kind, value
    ON CONFLICT DO NOTHING
""")
OWNERS = text("""
    SELECT a.kind, a.value, a.customer_id
    FROM alias a
    JOIN unnest(CAST(:kinds AS text[]), CAST(:values AS text[])) AS wanted (kind, value) USING (kind, value)
    WHERE a.organisation = :organisation
""")
GIVE = text("UPDATE alias SET customer_id = :owner WHERE organisation = :organisation AND customer_id = :candidate")
NOTE = text("""
    INSERT INTO overlap (id, organisation, customer_id, other_id, kind, value, order_id)
    VALUES (:id, :organisation, :customer, :other, :kind, :value, :order)
    ON CONFLICT DO NOTHING
""")
SERIALISE = text("""
    SELECT pg_advisory_xact_lock(key)
    FROM (SELECT hashtextextended('crm:' || name, 0) AS key FROM unnest(CAST(:names AS text[])) AS name ORDER BY 1) AS k
""")


@dataclass(frozen=True, slots=True)
class Contact:
    """Something typed, and what it is compared by."""

    kind: AliasKind
    value: str
    raw: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who an order says it is from."""

    name: str
    email: str | None = None
    phone: str | None = None
    account_id: UUID | None = None

    def contacts(self, region: str | None) -> list[Contact]:
        """What the person can be known by, the strongest first. What cannot be read is left out, and kept as typed."""
        found = []
        if self.email and (email := normalise_email(self.email)):
            found.append(Contact(AliasKind.EMAIL, email, self.email))
        if self.phone and (phone := normalise_phone(self.phone, region or UNKNOWN_REGION)):
            found.append(Contact(AliasKind.PHONE, phone, self.phone))
        if self.account_id:
            found.append(Contact(AliasKind.ACCOUNT, str(self.account_id), str(self.account_id)))
        return found


async def recognise(
    session: AsyncSession, organisation: UUID, person: Person, contacts: Sequence[Contact], order_id: UUID
) -> UUID:
    """The id of the customer the contacts belong to; a new customer if they belong to nobody.

    `contacts` are the strongest first and at least one.
    """
    candidate = uuid7()
    owners = await _claim(session, organisation, candidate, contacts)
    owner = await _decide(session, candidate, person, owners)
    if owner is None:
        metrics.ORDERS_RECOGNISED.labels("nothing").inc()
        owner = await _register(session, organisation, candidate, person)
    elif candidate in owners.values():
        await session.execute(GIVE, {"owner": owner, "organisation": organisation, "candidate": candidate})
        await _gained_contacts(session, owner)
    for contact in contacts:
        if owners[contact] not in (owner, candidate):
            await note_overlap(session, organisation, owner, owners[contact], contact, order_id)
    return owner


async def _decide(
    session: AsyncSession, candidate: UUID, person: Person, owners: Mapping[Contact, UUID]
) -> UUID | None:
    """Which customer's order it is; none if it is the order of somebody new."""
    new_email = any(contact.kind is AliasKind.EMAIL and owner == candidate for contact, owner in owners.items())
    for contact, owner in owners.items():
        if owner == candidate:
            continue
        certain = not new_email or contact.kind is AliasKind.ORDER
        if certain or await _has_name(session, owner, person.name):
            metrics.ORDERS_RECOGNISED.labels(contact.kind.value).inc()
            return owner
    return None


async def _has_name(session: AsyncSession, customer_id: UUID, name: str) -> bool:
    """Whether a customer, or one merged with it, may have this name."""
    one, other = aliased(Customer), aliased(Customer)
    known = await session.execute(
        select(other.name, other.registered_name)
        .join(one, one.counted_as == other.counted_as)
        .where(one.id == customer_id)
    )
    return any(may_be_one(name, each) for row in known for each in row if each is not None)


async def _claim(
    session: AsyncSession, organisation: UUID, candidate: UUID, contacts: Sequence[Contact]
) -> dict[Contact, UUID]:
    keys = {"kinds": [c.kind.value for c in contacts], "values": [c.value for c in contacts]}
    new = {"ids": [uuid7() for _ in contacts], "raws": [c.raw for c in contacts], "candidate": candidate}
    await session.execute(CLAIM, {"organisation": organisation, **keys, **new})
    rows = await session.execute(OWNERS, {"organisation": organisation, **keys})
    owners = {(row.kind, row.value): row.customer_id for row in rows}
    return {contact: owners[contact.kind.value, contact.value] for contact in contacts}


async def _register(session: AsyncSession, organisation: UUID, customer_id: UUID, person: Person) -> UUID:
    customer = Customer(id=customer_id, organisation=organisation, name=person.name, version=1)
    session.add(customer)
    await session.flush()
    await find_account(session, customer)
    await session.flush()
    metrics.CUSTOMERS_REGISTERED.inc()
    await publish(session, customer, CustomerRegistered)
    return customer_id


async def _gained_contacts(session: AsyncSession, customer_id: UUID) -> None:
    customer = await session.get_one(Customer, customer_id, with_for_update=True, populate_existing=True)
    await find_account(session, customer)
    await changed(session, customer)


async def find_account(session: AsyncSession, customer: Customer) -> None:
    """Puts the registered data of the person's account beside the customer's own, if there is an account and none is
    known of yet."""
    if customer.account_id is not None:
        return
    emails, signed_in = await _known_by(session, customer)
    if not emails and not signed_in:
        return
    # The account may be registering at this moment: whoever comes second sees the other.
    await serialise(session, [*emails, *map(str, signed_in)])
    accounts = await session.scalars(
        select(Account)
        .where(or_(Account.account_id.in_(signed_in), Account.email_key.in_(emails)))
        .order_by(Account.account_id)
    )
    for account in accounts:
        if await is_person_of(session, customer, account):
            take_registered_data(customer, account)
            return


async def is_person_of(session: AsyncSession, customer: Customer, account: Account) -> bool:
    """Whether a customer is the person of an account: the address is the customer's, and the person has ordered while
    signed in, or shows their data to the organisation. Anybody may write somebody else's address into an order."""
    emails, signed_in = await _known_by(session, customer)
    if account.account_id in signed_in:
        return not emails or account.email_key in emails
    return account.email_key in emails and customer.organisation in account.shared_with


async def _known_by(session: AsyncSession, customer: Customer) -> tuple[list[str], list[UUID]]:
    """E-mail addresses and accounts that a customer is known by."""
    kinds = (AliasKind.EMAIL, AliasKind.ACCOUNT)
    contacts = await session.execute(
        select(Alias.kind, Alias.value).where(Alias.customer_id == customer.id, Alias.kind.in_(kinds))
    )
    emails: list[str] = []
    signed_in: list[UUID] = []
    for kind, value in contacts:
        if kind == AliasKind.EMAIL:
            emails.append(value)
        else:
            signed_in.append(UUID(value))
    return emails, signed_in


def forget_registered_data(customer: Customer) -> None:
    customer.account_id = customer.registered_name = customer.registered_email = customer.registered_phone = None


def take_registered_data(customer: Customer, account: Account) -> None:
    customer.account_id = account.account_id
    customer.registered_name = account.name
    customer.registered_email = account.email
    customer.registered_phone = account.phone


async def serialise(session: AsyncSession, names: Sequence[str]) -> None:
    """Lets one transaction at a time deal with these e-mails and account ids, until it ends."""
    await session.execute(SERIALISE, {"names": sorted(set(names))})


async def note_overlap(
    session: AsyncSession, organisation: UUID, customer: UUID, other: UUID, contact: Contact, order_id: UUID
) -> None:
    metrics.OVERLAPS.inc()
    note = {"organisation": organisation, "customer": customer, "other": other, "order": order_id}
    await session.execute(NOTE, {"id": uuid7(), "kind": contact.kind.value, "value": contact.value, **note})
