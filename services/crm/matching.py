"""Finds the customer that contact data belong to, or makes one (CUS-12).

A customer is known by normalised e-mail, phone number and account. The contacts are claimed first, all in one
statement, for a customer that may not be needed: the unique constraint makes a concurrent transaction with the same
contact wait and then see ours. So two events about one person at the same moment give one customer, whatever partition
they are in.

When contacts belong to two customers, the e-mail decides, then the phone, then the account. The weaker contact stays
with its owner, and the overlap is noted for staff. Nothing is merged by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from chassis import outbox
from chassis.people import normalise_email, normalise_phone
from contracts.crm import CustomerChanged, CustomerRegistered, CustomerState
from services.crm import metrics
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
    deciding = next((c for c in contacts if owners[c] != candidate), None)
    if deciding is None:
        metrics.ORDERS_RECOGNISED.labels("nothing").inc()
        return await _register(session, organisation, candidate, person, contacts)
    owner = owners[deciding]
    metrics.ORDERS_RECOGNISED.labels(deciding.kind.value).inc()
    if candidate in owners.values():
        await session.execute(GIVE, {"owner": owner, "organisation": organisation, "candidate": candidate})
        await _gained_contacts(session, owner, [c for c in contacts if owners[c] == candidate])
    for contact in contacts:
        if owners[contact] not in (owner, candidate):
            await _note_overlap(session, organisation, owner, owners[contact], contact, order_id)
    return owner


async def _claim(
    session: AsyncSession, organisation: UUID, candidate: UUID, contacts: Sequence[Contact]
) -> dict[Contact, UUID]:
    keys = {"kinds": [c.kind.value for c in contacts], "values": [c.value for c in contacts]}
    new = {"ids": [uuid7() for _ in contacts], "raws": [c.raw for c in contacts], "candidate": candidate}
    await session.execute(CLAIM, {"organisation": organisation, **keys, **new})
    rows = await session.execute(OWNERS, {"organisation": organisation, **keys})
    owners = {(row.kind, row.value): row.customer_id for row in rows}
    return {contact: owners[contact.kind.value, contact.value] for contact in contacts}


async def _register(
    session: AsyncSession, organisation: UUID, customer_id: UUID, person: Person, contacts: Sequence[Contact]
) -> UUID:
    customer = Customer(id=customer_id, organisation=organisation, name=person.name, version=1)
    session.add(customer)
    await session.flush()
    await _find_account(session, customer, contacts)
    await session.flush()
    metrics.CUSTOMERS_REGISTERED.inc()
    await publish(session, customer, CustomerRegistered)
    return customer_id


async def _gained_contacts(session: AsyncSession, customer_id: UUID, contacts: Sequence[Contact]) -> None:
    customer = await session.get_one(Customer, customer_id, with_for_update=True, populate_existing=True)
    await _find_account(session, customer, contacts)
    await changed(session, customer)


async def _find_account(session: AsyncSession, customer: Customer, contacts: Sequence[Contact]) -> None:
    """Puts the registered data of the person's account beside the customer's own, if there is an account."""
    names = [contact.value for contact in contacts if contact.kind in (AliasKind.EMAIL, AliasKind.ACCOUNT)]
    if not names or customer.account_id is not None:
        return
    # The account may be registering at this moment: whoever comes second sees the other.
    await serialise(session, names)
    account = None
    for contact in contacts:
        if contact.kind is AliasKind.ACCOUNT:
            account = await session.get(Account, UUID(contact.value)) or account
            customer.account_id = UUID(contact.value)
    if account is None and customer.account_id is None:
        emails = [contact.value for contact in contacts if contact.kind is AliasKind.EMAIL]
        known = select(Account).where(Account.email_key.in_(emails)).order_by(Account.account_id).limit(1)
        account = await session.scalar(known)
    if account is not None:
        take_registered_data(customer, account)


def take_registered_data(customer: Customer, account: Account) -> None:
    customer.account_id = account.account_id
    customer.registered_name = account.name
    customer.registered_email = account.email
    customer.registered_phone = account.phone


async def serialise(session: AsyncSession, names: Sequence[str]) -> None:
    """Lets one transaction at a time deal with these e-mails and account ids, until it ends."""
    await session.execute(SERIALISE, {"names": sorted(set(names))})


async def _note_overlap(
    session: AsyncSession, organisation: UUID, customer: UUID, other: UUID, contact: Contact, order_id: UUID
) -> None:
    metrics.OVERLAPS.inc()
    note = {"organisation": organisation, "customer": customer, "other": other, "order": order_id}
    await session.execute(NOTE, {"id": uuid7(), "kind": contact.kind.value, "value": contact.value, **note})


async def changed(session: AsyncSession, customer: Customer) -> None:
    """Raises the version of a locked customer and tells everybody."""
    customer.version += 1
    await session.flush()
    await publish(session, customer, CustomerChanged)


async def publish(session: AsyncSession, customer: Customer, kind: type[CustomerState]) -> None:
    contacts = await contacts_of(session, customer.id)
    data = kind(
        customer_id=customer.id,
        name=customer.name,
        emails=tuple(contacts[AliasKind.EMAIL]),
        phones=tuple(contacts[AliasKind.PHONE]),
        blacklisted=customer.blacklisted,
        account_id=customer.account_id,
    )
    outbox.add(session, data, organisation=customer.organisation, version=customer.version)


async def contacts_of(session: AsyncSession, customer_id: UUID) -> dict[AliasKind, list[str]]:
    """The customer's contacts by kind, oldest first."""
    found: dict[AliasKind, list[str]] = {kind: [] for kind in AliasKind}
    rows = await session.execute(
        select(Alias.kind, Alias.value).where(Alias.customer_id == customer_id).order_by(Alias.created_at, Alias.id)
    )
    for kind, value in rows:
        found[AliasKind(kind)].append(value)
    return found
