"""People who share a phone are not one person, and staff merge and split customers without losing anything."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from chassis.db import Database
from chassis.problems import PreconditionFailed, Problem
from contracts.orders import Customer as Orderer
from services.crm.customers import edits, merge, queries, split
from services.crm.customers.names import may_be_one
from services.crm.errors import CannotSplit, MergedAway, NotMerged
from services.crm.models import Alias, Customer, CustomerOrder, Overlap
from tests.crm.test_matching import account, customer_of, customers, order, tell
from tests.events import OrderStory, organisation_registered

PHONE = "+380671234567"


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [
        ("Олена Шевченко", "шевченко  ОЛЕНА", True),
        ("Олена Шевченко", "О. Шевченко", True),
        ("Олена", "Олена Шевченко", True),
        ("Żaneta Łęcka", "Zaneta Lecka", True),
        ("Мар'яна", "Мар\u2019яна", True),
        ("", "Олена", True),
        ("Олена Шевченко", "Тарас Шевченко", False),
        ("О. О.", "Олена Шевченко", False),
        ("Олена", "Лена", False),
        ("Olena", "Олена", False),
    ],
)
def test_names(one: str, other: str, may: bool) -> None:
    assert may_be_one(one, other) is may
    assert may_be_one(other, one) is may


async def test_three_people_who_share_a_phone_are_three_customers(db: Database) -> None:
    organisation = uuid4()
    people = [
        Orderer(name=name, email=f"{n}@example.com", phone=PHONE) for n, name in enumerate(("Марія", "Петро", "Іван"))
    ]
    events = [order(organisation, person) for person in (*people, *people)]
    await tell(db, *events)
    assert [one.name for one in await customers(db)] == ["Марія", "Петро", "Іван"]
    first = await customer_of(db, events[0])
    async with db.as_worker() as session:
        noted = (await session.scalars(select(Overlap).order_by(Overlap.customer_id))).all()
    assert [(note.other_id, note.kind, note.value) for note in noted] == [(first, "phone", PHONE)] * 2
    assert [await customer_of(db, one) for one in events[:3]] == [await customer_of(db, one) for one in events[3:]]


async def test_a_new_address_and_a_known_phone_under_a_fitting_name_are_one_person(db: Database) -> None:
    organisation = uuid4()
    await tell(
        db,
        order(organisation, Orderer(name="Олена Шевченко", email="a@example.com", phone=PHONE)),
        order(organisation, Orderer(name="О. Шевченко", email="b@example.com", phone=PHONE)),
        order(organisation, Orderer(name="Хтось", phone=PHONE)),
    )
    assert len(await customers(db)) == 1, "a phone alone is all there is to know somebody by"


async def test_who_orders_in_another_name_under_their_account_is_not_that_person(db: Database) -> None:
    organisation, mine = uuid4(), uuid4()
    own = order(organisation, Orderer(name="Олена", email="olena@example.com", account_id=mine))
    gift = order(organisation, Orderer(name="Петро", email="petro@example.com", account_id=mine))
    later = order(organisation, Orderer(name="Петро", email="petro@example.com"))
    await tell(db, account("olena@example.com", account_id=mine), own, gift, later)
    olena, petro = await customers(db)
    assert await customer_of(db, later) == petro.id
    assert (olena.account_id, petro.account_id) == (mine, None)


async def test_an_order_that_had_no_readable_contact_keeps_its_customer_when_it_gets_one(db: Database) -> None:
    story = OrderStory(uuid4(), customer=Orderer(name="Хтось", email="none"))
    await tell(db, story.placed())
    story.customer = Orderer(name="Олена", email="olena@example.com")
    await tell(db, story.paid())
    assert len(await customers(db)) == 1


async def merged(db: Database, organisation: UUID, into: UUID, other: UUID) -> None:
    async with db.for_organisation(organisation) as session:
        seen = (await session.get_one(Customer, into)).version
        await merge.merge(session, organisation, into, seen, other, by="anna@example.com")


async def taken_back(db: Database, organisation: UUID, into: UUID, other: UUID) -> None:
    async with db.for_organisation(organisation) as session:
        seen = (await session.get_one(Customer, into)).version
        await merge.unmerge(session, organisation, into, seen, other)


async def split_off(db: Database, organisation: UUID, customer: UUID, *orders: UUID, name: str = "") -> UUID:
    async with db.as_worker() as session:
        seen = (await session.get_one(Customer, customer)).version
        return await split.split_off(session, organisation, customer, seen, orders, name=name)


async def card(db: Database, organisation: UUID, customer: UUID) -> dict[str, Any]:
    async with db.for_organisation(organisation) as session:
        return await queries.card(session, organisation, customer)


async def test_a_merged_customer_is_counted_as_the_other_and_its_later_orders_follow(db: Database) -> None:
    organisation = uuid4()
    a = order(organisation, Orderer(name="Olena", email="olena@example.com"))
    b = order(organisation, Orderer(name="Олена", email="lena@example.com"))
    await tell(db, a, b)
    into, other = await customer_of(db, a), await customer_of(db, b)
    before = {one: await card(db, organisation, one) for one in (into, other)}
    await merged(db, organisation, into, other)
    await tell(db, order(organisation, Orderer(name="Олена", email="lena@example.com", phone=PHONE)))
    whole = await card(db, organisation, other)
    assert whole["customer_id"] == into
    assert (len(whole["orders"]), whole["emails"], whole["phones"]) == (
        3,
        ["olena@example.com", "lena@example.com"],
        [PHONE],
    )
    assert [one["name"] for one in whole["merged"]] == ["Олена"]
    async with db.for_organisation(organisation) as session:
        for search in ("", "Олена", "lena@example.com", PHONE):
            found = await queries.find_customers(session, organisation, search=search)
            assert [(item["customer_id"], item["orders"]) for item in found["items"]] == [(into, 3)], search
        assert (await queries.totals(session, organisation))["customers"] == 1
    await taken_back(db, organisation, into, other)
    after = {one: await card(db, organisation, one) for one in (into, other)}
    assert {**after[into], "version": None} == {**before[into], "version": None}
    assert (len(after[other]["orders"]), after[other]["phones"]) == (2, [PHONE]), "what came meanwhile is its own"


async def test_orders_that_are_another_persons_are_split_off_with_their_contacts(db: Database) -> None:
    """As they were joined: one phone, no other name to tell them apart by."""
    organisation = uuid4()
    registered = account("petro@example.com", name="Petro", shared_with=[organisation])
    mine = order(organisation, Orderer(name="Олена", email="olena@example.com", phone=PHONE))
    his = order(organisation, Orderer(name="Олена", email="petro@example.com", phone=PHONE))
    await tell(db, mine, his, registered)
    whole = await customer_of(db, mine)
    assert (await card(db, organisation, whole))["registered"]["name"] == "Petro"
    new = await split_off(db, organisation, whole, his.data.order_id, name="Петро")
    hers, theirs = await card(db, organisation, whole), await card(db, organisation, new)
    assert (hers["emails"], hers["phones"], hers["registered"]) == (["olena@example.com"], [PHONE], None)
    assert (theirs["name"], theirs["emails"], theirs["registered"]["name"]) == ("Петро", ["petro@example.com"], "Petro")
    assert [one["customer_id"] for one in theirs["possible_duplicates"]] == [whole]
    # What comes of these orders and people later stays apart, whatever is typed in it.
    later = OrderStory(organisation, customer=Orderer(name="Петро", email="petro@example.com", phone=PHONE))
    await tell(db, later.placed())
    assert await customer_of(db, later.events[0]) == new


async def test_what_is_typed_later_does_not_undo_what_staff_said(db: Database) -> None:
    organisation = uuid4()
    story = OrderStory(organisation, customer=Orderer(name="Олена", phone=PHONE))
    await tell(db, order(organisation, Orderer(name="Олена", email="olena@example.com", phone=PHONE)), story.placed())
    (whole,) = await customers(db)
    new = await split_off(db, organisation, whole.id, story.order_id)
    story.customer = Orderer(name="Олена Ш.", email="olena@example.com", phone=PHONE)
    await tell(db, story.paid())
    assert await customer_of(db, story.events[-1]) == new


async def test_the_black_list_follows_the_person(db: Database) -> None:
    organisation = uuid4()
    a = order(organisation, Orderer(name="Olena", email="olena@example.com"))
    b = order(organisation, Orderer(name="Олена", email="lena@example.com"))
    await tell(db, a, b)
    into, other = await customer_of(db, a), await customer_of(db, b)
    async with db.for_organisation(organisation) as session:
        await edits.blacklist(session, organisation, other, 1, reason="never pays", by="anna@example.com")
    await merged(db, organisation, into, other)
    whole = await card(db, organisation, into)
    assert (whole["blacklisted"], whole["blacklist_reason"]) == (True, "never pays")
    async with db.for_organisation(organisation) as session:
        found = await queries.find_customers(session, organisation, blacklisted=True)
        assert [(item["customer_id"], item["blacklisted"]) for item in found["items"]] == [(into, True)]
    await taken_back(db, organisation, into, other)
    assert [(await card(db, organisation, one))["blacklisted"] for one in (into, other)] == [False, True]
    await merged(db, organisation, into, other)
    async with db.for_organisation(organisation) as session:
        await edits.forgive(session, organisation, into, (await session.get_one(Customer, into)).version)
    assert not (await card(db, organisation, into))["blacklisted"]


async def test_what_cannot_be_merged_or_split(db: Database) -> None:
    organisation = uuid4()
    events = [order(organisation, Orderer(name="Олена", email=f"{n}@example.com")) for n in range(3)]
    await tell(db, *events)
    one, two, three = [await customer_of(db, each) for each in events]
    await merged(db, organisation, one, two)
    for wrong, error in (
        (lambda: merged(db, organisation, one, one), Problem),
        (lambda: merged(db, organisation, two, three), MergedAway),
        (lambda: merged(db, organisation, three, two), MergedAway),
        (lambda: taken_back(db, organisation, one, three), NotMerged),
        (lambda: split_off(db, organisation, three, events[2].data.order_id), CannotSplit),
        (lambda: split_off(db, organisation, three, events[0].data.order_id), CannotSplit),
    ):
        with pytest.raises(error):
            await wrong()
    with pytest.raises(PreconditionFailed):
        async with db.for_organisation(organisation) as session:
            await merge.merge(session, organisation, one, 1, three, by="anna@example.com")


NAMES = ["Олена", "Тарас", "Ян"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.integers(0, 2), st.integers(0, 3), st.integers(0, 2)),
        st.tuples(st.just("merge"), st.integers(0, 9), st.integers(0, 9)),
        st.tuples(st.just("take back"), st.integers(0, 9)),
        st.tuples(st.just("split"), st.integers(0, 9), st.integers(0, 9)),
    ),
    min_size=3,
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_whatever_staff_do_each_order_has_one_customer(db: Database, steps: list[tuple[Any, ...]]) -> None:
    organisation = uuid4()
    await tell(db, organisation_registered(organisation))
    sold: dict[UUID, int] = {}
    for step in steps:
        if step[0] == "order":
            _, name, email, phone = step
            person = Orderer(
                name=NAMES[name],
                email=f"{email}@example.com" if email else None,
                phone=f"+38067123456{phone}" if phone else None,
            )
            story = OrderStory(organisation, customer=person, minor=100 + len(sold))
            await tell(db, story.placed(), story.paid())
            sold[story.order_id] = 100 + len(sold)
        else:
            await staff_do(db, organisation, step)
        await each_order_has_one_customer(db, organisation, sold)


async def staff_do(db: Database, organisation: UUID, step: tuple[Any, ...]) -> None:
    async with db.as_worker() as session:
        rows = (
            await session.scalars(select(Customer).where(Customer.organisation == organisation).order_by(Customer.id))
        ).all()
    standing = [row.id for row in rows if row.survivor_id is None]
    away = [row for row in rows if row.survivor_id is not None]
    if step[0] == "merge" and len(standing) > 1:
        into = standing.pop(step[1] % len(standing))
        other = standing[step[2] % len(standing)]
        before = [await card(db, organisation, one) for one in (into, other)]
        await merged(db, organisation, into, other)
        await taken_back(db, organisation, into, other)
        after = [await card(db, organisation, one) for one in (into, other)]
        assert [{**one, "version": 0} for one in after] == [{**one, "version": 0} for one in before]
        await merged(db, organisation, into, other)
    elif step[0] == "take back" and away:
        one = away[step[1] % len(away)]
        assert one.survivor_id is not None
        await taken_back(db, organisation, one.survivor_id, one.id)
    elif step[0] == "split" and standing:
        customer = standing[step[1] % len(standing)]
        orders = (await card(db, organisation, customer))["orders"]
        if len(orders) > 1:
            await split_off(db, organisation, customer, orders[step[2] % len(orders)]["order_id"])


async def each_order_has_one_customer(db: Database, organisation: UUID, sold: dict[UUID, int]) -> None:
    async with db.for_organisation(organisation) as session:
        listed = (await queries.find_customers(session, organisation, limit=200))["items"]
        cards = [await queries.card(session, organisation, item["customer_id"]) for item in listed]
        totals = await queries.totals(session, organisation)
        pointing = Customer.survivor_id
        roots = await session.scalars(select(pointing).where(pointing.is_not(None)))
        standing = {item["customer_id"] for item in listed}
        assert set(roots) <= standing, "who is merged is counted as somebody who stands for themselves"
        wrong = await session.scalar(
            select(func.count()).where(Customer.merged_into.is_(None) != Customer.survivor_id.is_(None))
        )
        assert wrong == 0
    seen = Counter(one["order_id"] for each in cards for one in each["orders"])
    assert seen == Counter(dict.fromkeys(sold, 1))
    spent = sum(amount["minor"] for each in cards for amount in each["spent"])
    assert spent == sum(sold.values())
    assert (totals["orders"], totals["customers"]) == (len(sold), len(cards))
    addresses = [address for each in cards for address in each["emails"] + each["phones"]]
    assert len(addresses) == len(set(addresses)), "a contact belongs to one customer"


async def test_everybody_is_told(db: Database) -> None:
    organisation = uuid4()
    events = [order(organisation, Orderer(name="Олена", email=f"{n}@example.com")) for n in range(2)]
    await tell(db, *events)
    into, other = [await customer_of(db, each) for each in events]
    await merged(db, organisation, into, other)
    await taken_back(db, organisation, into, other)
    async with db.as_worker() as session:
        rows = await session.execute(text("SELECT convert_from(key, 'UTF8'), headers::text FROM outbox ORDER BY id"))
        told = [(UUID(key), headers.partition("crm.customer.")[2].partition(".v1")[0]) for key, headers in rows]
    assert told[2:] == [(other, "merged"), (into, "changed"), (other, "split"), (other, "changed"), (into, "changed")]


async def test_an_alias_is_not_lost_in_a_split(db: Database) -> None:
    organisation = uuid4()
    events = [order(organisation, Orderer(name="Олена", email="olena@example.com", phone=PHONE)) for _ in range(3)]
    await tell(db, *events)
    (whole,) = await customers(db)
    await split_off(db, organisation, whole.id, events[0].data.order_id)
    async with db.as_worker() as session:
        owners = await session.scalars(select(Alias.customer_id))
        moved = await session.scalar(
            select(CustomerOrder.customer_id).where(CustomerOrder.order_id == events[0].data.order_id)
        )
    assert set(owners) == {whole.id}, "what other orders name, too, stays"
    assert moved != whole.id
