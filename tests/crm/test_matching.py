"""One customer per person and organisation, whatever comes when, twice, or at the same moment."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.errors import is_passing
from contracts.accounts import AccountChanged, AccountRegistered
from contracts.envelope import Event
from contracts.orders import Customer as Orderer
from services.crm.consumers import account_told, order_told, organisation_told
from services.crm.models import Alias, Customer, CustomerOrder, Overlap
from tests.events import OrderStory, event, organisation_registered
from tests.harness import eventually

OLENA = Orderer(name="Олена Шевченко", email="Olena.S@Example.com", phone="067 123 45 67")


def order(organisation: UUID, customer: Orderer) -> Event[Any]:
    return OrderStory(organisation, customer=customer).placed()


def account(email: str, *, account_id: UUID | None = None, version: int = 1, **data: Any) -> Event[Any]:
    kind = AccountRegistered if version == 1 else AccountChanged
    values = {"name": "Olena Shevchenko-Kosach", "phone": "+380931112233", "locale": "uk", **data}
    return event(kind(account_id=account_id or uuid4(), email=email, **values), None, version=version)


async def tell(db: Database, *events: Event[Any]) -> None:
    """Each event in a transaction of its own, tried again as the consumer does."""
    for one in events:
        while True:
            try:
                async with db.as_worker() as session:
                    await hear(session, one)
                break
            except Exception as error:
                if not is_passing(error):
                    raise


async def hear(session: AsyncSession, one: Event[Any]) -> None:
    if one.topic == "accounts.account":
        await account_told(session, one)
    elif one.topic == "accounts.organisation":
        await organisation_told(session, one)
    else:
        await order_told(session, one)


async def customers(db: Database) -> list[Customer]:
    async with db.as_worker() as session:
        return list(await session.scalars(select(Customer).order_by(Customer.id)))


async def customer_of(db: Database, one: Event[Any]) -> UUID:
    async with db.as_worker() as session:
        found = await session.scalar(
            select(CustomerOrder.customer_id).where(CustomerOrder.order_id == one.data.order_id)
        )
        assert found is not None
        return found


async def published(db: Database) -> list[str]:
    async with db.as_worker() as session:
        rows = await session.scalars(text("SELECT headers::text FROM outbox ORDER BY id"))
        return ["registered" if ".registered." in row else "changed" for row in rows]


async def test_the_same_person_is_known_however_the_contacts_are_written(db: Database) -> None:
    organisation = uuid4()
    await tell(
        db,
        organisation_registered(organisation),
        order(organisation, OLENA),
        order(organisation, OLENA.model_copy(update={"email": "  OLENA.S@example.COM", "phone": None})),
        order(organisation, OLENA.model_copy(update={"email": None, "phone": "+38 (067) 123-45-67"})),
        order(organisation, OLENA.model_copy(update={"email": "new@example.com", "phone": "00380671234567"})),
    )
    assert len(await customers(db)) == 1
    assert await published(db) == ["registered", "changed"], "the new address is the only news"


async def test_the_account_of_a_customer_is_not_replaced_by_anothers(db: Database) -> None:
    """Somebody who is signed in as somebody else types this customer's address."""
    organisation, theirs, anothers = uuid4(), uuid4(), uuid4()
    await tell(
        db,
        organisation_registered(organisation),
        order(organisation, OLENA),
        account("olena.s@example.com", account_id=theirs, name="Olena", shared_with=[organisation]),
        account("other@example.com", account_id=anothers, name="Somebody"),
        order(organisation, OLENA.model_copy(update={"account_id": anothers})),
    )
    (customer,) = await customers(db)
    assert (customer.account_id, customer.registered_name) == (theirs, "Olena")
    assert customer.registered_email == "olena.s@example.com"
    await tell(db, account("other@example.com", account_id=anothers, version=2, name="Changed"))
    (customer,) = await customers(db)
    assert customer.registered_name == "Olena"


async def test_organisations_do_not_share_customers(db: Database) -> None:
    await tell(db, order(uuid4(), OLENA), order(uuid4(), OLENA))
    assert len(await customers(db)) == 2


async def test_an_order_between_two_customers_goes_to_the_owner_of_the_email(db: Database) -> None:
    organisation = uuid4()
    by_email = order(organisation, Orderer(name="Олена", email="olena@example.com"))
    by_phone = order(organisation, Orderer(name="О. Шевченко", phone="+380671234567"))
    both = order(organisation, Orderer(name="Олена Ш.", email="olena@example.com", phone="+380671234567"))
    await tell(db, by_phone, by_email, both)
    assert await customer_of(db, both) == await customer_of(db, by_email)
    async with db.as_worker() as session:
        (note,) = await session.scalars(select(Overlap))
        owner = await session.scalar(select(Alias.customer_id).where(Alias.kind == "phone"))
    assert (note.customer_id, note.other_id) == (await customer_of(db, by_email), await customer_of(db, by_phone))
    assert owner == await customer_of(db, by_phone), "the phone stays with its owner"
    assert len(await customers(db)) == 2


async def begin(db: Database, event: Event[Any]) -> asyncio.Task[None]:
    """Tells of an event in a transaction of its own; returns once it waits for another one, or is through."""
    task = asyncio.create_task(tell(db, event))

    async def under_way() -> bool:
        async with db.as_worker() as session:
            waits = "wait_event_type = 'Lock' AND datname = current_database()"
            blocked = await session.scalar(text(f"SELECT count(*) FROM pg_stat_activity WHERE {waits}"))
        return task.done() or bool(blocked)

    await eventually(under_way)
    return task


async def meet(db: Database, organisation: UUID) -> list[UUID]:
    """Two events about one person in two transactions that overlap."""
    first, second = order(organisation, OLENA), order(organisation, OLENA)
    async with db.as_worker() as session:
        await hear(session, first)
        waiting = await begin(db, second)
    await waiting
    return [await customer_of(db, first), await customer_of(db, second)]


async def test_two_events_at_the_same_moment_give_one_customer(db: Database) -> None:
    one, other = await meet(db, uuid4())
    assert one == other
    assert len(await customers(db)) == 1


async def test_without_the_unique_constraint_they_would_give_two(db: Database) -> None:
    """The control: it is the constraint that does it."""
    owner = await asyncpg.connect(db.owner_url)  # type: ignore[attr-defined]
    await owner.execute("ALTER TABLE alias DROP CONSTRAINT uq_alias_organisation_kind_value")
    await owner.close()
    one, other = await meet(db, uuid4())
    assert one != other


async def test_a_phone_claimed_at_the_same_moment_is_joined(db: Database) -> None:
    """The second has an e-mail nobody knows and the phone of a customer who is being registered."""
    organisation = uuid4()
    by_phone = order(organisation, Orderer(name="О.", phone="+380671234567"))
    both = order(organisation, Orderer(name="Олена", email="olena@example.com", phone="+380671234567"))
    async with db.as_worker() as session:
        await hear(session, by_phone)
        waiting = await begin(db, both)
    await waiting
    assert await customer_of(db, both) == await customer_of(db, by_phone)
    assert len(await customers(db)) == 1


async def test_forty_events_at_once(db: Database) -> None:
    organisation = uuid4()
    await tell(db, organisation_registered(organisation))
    spellings = [
        OLENA,
        OLENA.model_copy(update={"email": "olena.s@example.com", "phone": "+380671234567"}),
        OLENA.model_copy(update={"phone": "00380671234567"}),
    ]
    events = [order(organisation, random.choice(spellings)) for _ in range(40)]
    await asyncio.gather(*(tell(db, one) for one in events))
    assert len(await customers(db)) == 1
    assert (await published(db)).count("registered") == 1


CONTACTS = st.builds(
    Orderer,
    name=st.sampled_from(["Олена", "Jan"]),
    email=st.sampled_from([None, "a@example.com", "b@example.com", "A@EXAMPLE.com", "not an address"]),
    phone=st.sampled_from([None, "+380671234567", "0671234567", "+48601234567", "12345", "call me"]),
    account_id=st.sampled_from([None, UUID(int=1), UUID(int=2)]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.lists(CONTACTS, min_size=1, max_size=6), seed=st.integers(0, 2**32))
async def test_whatever_comes(db: Database, people: list[Orderer], seed: int) -> None:
    """Every order has a customer, who owns its e-mail; telling all of it again, in any order, changes nothing."""
    organisation = uuid4()
    await tell(db, organisation_registered(organisation))
    events = [order(organisation, person) for person in people]
    await tell(db, *events)
    before = await state(db, organisation)
    for one in events:
        mine = await customer_of(db, one)
        email = (one.data.customer.email or "").lower()
        if "@" in email:
            assert before["alias"]["email", email] == mine
    again = [*events, *events]
    random.Random(seed).shuffle(again)
    await tell(db, *again)
    assert await state(db, organisation) == before


async def state(db: Database, organisation: UUID) -> dict[str, Any]:
    async with db.as_worker() as session:
        aliases = await session.execute(
            select(Alias.kind, Alias.value, Alias.customer_id).where(Alias.organisation == organisation)
        )
        found = select(Customer.id, Customer.version).where(Customer.organisation == organisation)
        return {
            "alias": {(kind, value): owner for kind, value, owner in aliases},
            "customer": {row.id: row.version for row in await session.execute(found)},
        }


async def test_an_older_event_changes_nothing(db: Database) -> None:
    organisation = uuid4()
    story = OrderStory(organisation, customer=OLENA)
    placed, paid = story.placed(), story.paid()
    await tell(db, paid, placed)
    async with db.as_worker() as session:
        (row,) = await session.scalars(select(CustomerOrder))
    assert row.stage == "paid"
    assert row.paid == 12_500


async def test_a_removed_order_stays_removed(db: Database) -> None:
    story = OrderStory(uuid4(), customer=OLENA)
    story.placed()
    story.paid()
    story.deleted()
    story.refund()
    await tell(db, *(one for one in reversed(story.events) if one.topic == "orders.order"))
    async with db.as_worker() as session:
        (row,) = await session.scalars(select(CustomerOrder))
    assert row.removed
    assert row.refunded == 12_500


async def test_an_order_of_which_nobody_is_known_is_not_kept(db: Database) -> None:
    story = OrderStory(uuid4(), customer=OLENA)
    await tell(db, story.interested())
    assert await customers(db) == []
    await tell(db, story.placed())
    assert len(await customers(db)) == 1


async def test_an_order_without_readable_contacts_has_a_customer_of_its_own(db: Database) -> None:
    story = OrderStory(uuid4(), customer=Orderer(name="Хтось", email="none", phone="call me"))
    await tell(db, story.placed(), story.cancelled())
    assert len(await customers(db)) == 1


@pytest.mark.parametrize("known", [False, True], ids=["nobody has the number", "somebody has the number"])
async def test_numbers_are_read_again_when_the_country_becomes_known(db: Database, known: bool) -> None:
    """Events of two topics may come in any order: an order before its organisation."""
    organisation = uuid4()
    early = order(organisation, Orderer(name="Олена", phone="067 123 45 67"))
    owner = order(organisation, Orderer(name="Олена", phone="+380671234567"))
    await tell(db, early, *([owner] if known else []), organisation_registered(organisation))
    late = order(organisation, Orderer(name="Олена", phone="(067) 1234567"))
    await tell(db, late)
    assert await customer_of(db, early) == await customer_of(db, late)


@pytest.mark.parametrize("first", ["order", "account", "both at once"])
async def test_registered_data_are_kept_beside_typed_data(db: Database, first: str) -> None:
    organisation = uuid4()
    bought, registered = order(organisation, OLENA), account("olena.s@example.com", shared_with=(organisation,))
    if first == "both at once":
        async with db.as_worker() as session:
            await hear(session, bought)
            waiting = await begin(db, registered)
        await waiting
    else:
        await tell(db, *((bought, registered) if first == "order" else (registered, bought)))
    (customer,) = await customers(db)
    assert customer.name == "Олена Шевченко"
    assert customer.registered_name == "Olena Shevchenko-Kosach"
    assert customer.registered_phone == "+380931112233"
    assert customer.account_id == registered.data.account_id


async def test_a_changed_account_changes_its_customers_in_every_organisation(db: Database) -> None:
    account_id, shown_to = uuid4(), uuid4()
    signed_in = Orderer(name="Олена", email="olena.s@example.com", account_id=account_id)
    await tell(db, order(uuid4(), signed_in), order(shown_to, OLENA))
    newer = account(
        "olena.s@example.com", account_id=account_id, version=2, name="Olena Kosach", shared_with=(shown_to,)
    )
    older = account("olena.s@example.com", account_id=account_id)
    await tell(db, newer, older)
    assert [customer.registered_name for customer in await customers(db)] == ["Olena Kosach"] * 2
    withdrawn = account("olena.s@example.com", account_id=account_id, version=3)
    await tell(db, withdrawn)
    shown = {customer.organisation: customer.registered_name for customer in await customers(db)}
    assert shown.pop(shown_to) is None, "the person shows nothing there any more"
    assert list(shown.values()) == ["Olena Shevchenko-Kosach"], "but what they ordered while signed in is theirs"


@pytest.mark.parametrize("first", ["order", "account"])
async def test_an_address_in_an_order_shows_nothing_of_whose_it_is(db: Database, first: str) -> None:
    written, registered = order(uuid4(), OLENA), account("olena.s@example.com", shared_with=(uuid4(),))
    await tell(db, *((written, registered) if first == "order" else (registered, written)))
    (customer,) = await customers(db)
    assert (customer.account_id, customer.registered_name, customer.registered_phone) == (None, None, None)


@pytest.mark.parametrize("first", ["account", "order"])
async def test_nobody_takes_a_customer_by_ordering_with_their_address(db: Database, first: str) -> None:
    organisation = uuid4()
    stranger = account("stranger@example.com")
    sly = order(
        organisation, Orderer(name="Somebody", email="olena.s@example.com", account_id=stranger.data.account_id)
    )
    await tell(db, order(organisation, OLENA), *((stranger, sly) if first == "account" else (sly, stranger)))
    for customer in await customers(db):
        if await customer_of(db, sly) == customer.id:
            assert (customer.account_id, customer.registered_name) == (None, None)
