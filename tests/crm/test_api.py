"""Staff look after customers, who came through Kafka with their orders."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer
from sqlalchemy import text

from contracts.accounts import AccountRegistered, Role
from contracts.envelope import Event, decode
from contracts.orders import Customer as Orderer
from services.crm.purchases import region_of
from tests.crm.conftest import Service
from tests.events import OrderStory, event, organisation_registered, publish
from tests.harness import Kafka, eventually


async def with_customers(crm: Service, kafka: Kafka, *people: Orderer, numbers: tuple[str, ...] = ()) -> UUID:
    """An organisation that sold something to each of these people."""
    organisation = uuid4()
    await publish(kafka.bootstrap_servers, [organisation_registered(organisation)])

    async def region_known() -> str | None:
        async with crm.db.as_worker() as session:
            return await region_of(session, organisation)

    # It comes by another topic than its orders; before it, their phone numbers cannot be read.
    await eventually(region_known)
    events: list[Event[Any]] = []
    for n, person in enumerate(people):
        story = OrderStory(organisation, customer=person, number=numbers[n] if numbers else None)
        story.placed()
        story.paid()
        events += story.events
    await publish(kafka.bootstrap_servers, events)

    async def all_known():
        totals = await crm.get("/customers/totals", organisation)
        return totals["orders"] == len(people)

    await eventually(all_known)
    return organisation


async def find(crm: Service, organisation: UUID, search: str) -> list[str]:
    return [item["name"] for item in (await crm.get("/customers", organisation, search=search))["items"]]


async def test_customers_are_listed_and_found_by_what_is_known_of_them(crm: Service, kafka: Kafka) -> None:
    organisation = await with_customers(
        crm,
        kafka,
        Orderer(name="Олена Шевченко", email="olena@example.com", phone="067 123 45 67"),
        Orderer(name="Тарас Шевченко", email="taras_100%@example.com", phone="+380 50 765 43 21"),
        Orderer(name="Żaneta Łęcka", email="zaneta@example.pl", phone="+48 601 234 567"),
        numbers=("F-1001", "F-1002", "F-2001"),
    )
    everybody = await crm.get("/customers", organisation)
    assert {item["name"] for item in everybody["items"]} == {"Олена Шевченко", "Тарас Шевченко", "Żaneta Łęcka"}
    assert await find(crm, organisation, "f-1002") == ["Тарас Шевченко"]
    assert await find(crm, organisation, "#F-2001") == ["Żaneta Łęcka"]
    assert set(await find(crm, organisation, "шевченко")) == {"Олена Шевченко", "Тарас Шевченко"}
    assert await find(crm, organisation, "Шевченко Олена") == ["Олена Шевченко"]
    assert await find(crm, organisation, "OLENA@example.com") == ["Олена Шевченко"]
    assert await find(crm, organisation, "example.pl") == ["Żaneta Łęcka"]
    assert await find(crm, organisation, "(067) 123-45-67") == ["Олена Шевченко"]
    assert await find(crm, organisation, "067123") == ["Олена Шевченко"]
    assert await find(crm, organisation, "601 234") == ["Żaneta Łęcka"]
    assert await find(crm, organisation, "100%") == ["Тарас Шевченко"], "a per cent sign is no wildcard"
    assert await find(crm, organisation, "nobody") == []
    assert await find(crm, uuid4(), "шевченко") == []


async def test_a_long_list_is_read_page_by_page(crm: Service, kafka: Kafka) -> None:
    people = [Orderer(name=f"Person {n}", email=f"person{n}@example.com") for n in range(5)]
    organisation = await with_customers(crm, kafka, *people)
    for search in ({}, {"search": "person1"}, {"search": "person1@example.com"}):
        seen: list[str] = []
        cursor = None
        while True:
            page = await crm.get(
                "/customers", organisation, limit="2", **search, **({"cursor": cursor} if cursor else {})
            )
            seen += [item["name"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == (1 if search else 5)
    await crm.get("/customers", organisation, cursor="nonsense", status=422)


async def test_the_card_shows_orders_and_both_kinds_of_contact_data(crm: Service, kafka: Kafka) -> None:
    organisation = uuid4()
    typed = Orderer(name="Олена Ш.", email="Olena@Example.com", phone="067 123 45 67")
    bought = OrderStory(organisation, customer=typed, show=uuid4(), seats=2)
    again = OrderStory(organisation, customer=typed.model_copy(update={"name": "О. Шевченко"}))
    for story in (bought, again):
        story.placed()
    bought.paid()
    bought.refund(1)
    data = AccountRegistered(
        account_id=uuid4(),
        email="olena@example.com",
        name="Olena Kosach",
        phone="+380931112233",
        locale="uk",
        shared_with=(organisation,),
    )
    await publish(
        kafka.bootstrap_servers,
        [*bought.events, *again.events, event(data, None), organisation_registered(organisation)],
    )

    async def complete() -> Any:
        items = (await crm.get("/customers", organisation))["items"]
        if not items:
            return None
        card = await crm.get(f"/customers/{items[0]['customer_id']}", organisation)
        # Each part of a card is read by a statement of its own: all must have come.
        refunded = any(order["payment_status"] == "partially_refunded" for order in card["orders"])
        done = len(card["orders"]) == 2 and card["registered"] and card["phones"] and refunded
        return card if done and card["spent"] == [{"minor": 12_500, "currency": "UAH"}] else None

    card = await eventually(complete)
    assert card["registered"] == {"name": "Olena Kosach", "email": "olena@example.com", "phone": "+380931112233"}
    assert {order["typed"]["name"] for order in card["orders"]} == {"Олена Ш.", "О. Шевченко"}
    assert card["emails"] == ["olena@example.com"]
    assert card["phones"] == ["+380671234567"]
    seats = next(order for order in card["orders"] if order["number"] == bought.number)
    assert seats["payment_status"] == "partially_refunded"
    assert [product["title"] for product in seats["products"]] == [
        "Parterre, row 1, seat 0",
        "Parterre, row 1, seat 1",
    ]


async def test_staff_correct_a_customer_and_never_over_each_other(crm: Service, kafka: Kafka) -> None:
    organisation = await with_customers(crm, kafka, Orderer(name="Олена", email="olena@example.com"))
    (item,) = (await crm.get("/customers", organisation))["items"]
    path = f"/customers/{item['customer_id']}"
    _, etag = await crm.call("GET", path, organisation)
    edit = {"name": "Олена Шевченко", "date_of_birth": "1990-02-25", "locality": "Канів", "address": "вул. Шевченка, 1"}
    await crm.call("PATCH", path, organisation, json=edit, status=428)
    card, newer = await crm.call("PATCH", path, organisation, json=edit, etag=etag)
    assert {name: card[name] for name in edit} == edit
    assert newer != etag
    await crm.call("PATCH", path, organisation, json={"name": "Інша"}, etag=etag, status=412)
    card, _ = await crm.call("PATCH", path, organisation, json={"address": None}, etag=newer)
    assert (card["address"], card["locality"]) == (None, "Канів")
    for wrong in ({"name": " "}, {"name": None}, {"date_of_birth": "2999-01-01"}, {"phone": "1"}, {"name": "a\x00b"}):
        await crm.call("PATCH", path, organisation, json=wrong, etag=newer, status=422)
    # A later order does not undo the correction.
    story = OrderStory(organisation, customer=Orderer(name="Лена", email="olena@example.com"))
    story.placed()
    await publish(kafka.bootstrap_servers, story.events)

    async def two_orders():
        return len((await crm.get(path, organisation))["orders"]) == 2

    await eventually(two_orders)
    assert (await crm.get(path, organisation))["name"] == "Олена Шевченко"


async def test_the_black_list(crm: Service, kafka: Kafka) -> None:
    organisation = await with_customers(
        crm, kafka, Orderer(name="Олена", email="olena@example.com"), Orderer(name="Петро", email="petro@example.com")
    )
    customer_id = (await crm.get("/customers", organisation, search="Петро"))["items"][0]["customer_id"]
    path = f"/customers/{customer_id}"
    _, etag = await crm.call("GET", path, organisation)
    body = {"reason": "Never pays"}
    card, etag = await crm.call("PUT", f"{path}/blacklist", organisation, json=body, etag=etag)
    assert (card["blacklisted"], card["blacklist_reason"]) == (True, "Never pays")
    assert card["blacklisted_by"] == "manager@example.com"
    listed = await crm.get("/customers", organisation, blacklisted="true")
    assert [item["name"] for item in listed["items"]] == ["Петро"]
    assert (await crm.get("/customers/totals", organisation))["blacklisted"] == 1
    card, _ = await crm.call("DELETE", f"{path}/blacklist", organisation, etag=etag)
    assert (card["blacklisted"], card["blacklist_reason"]) == (False, None)
    assert await eventually(lambda: told(kafka, customer_id, 3)) == [
        ("crm.customer.registered.v1", False, 1),
        ("crm.customer.changed.v1", True, 2),
        ("crm.customer.changed.v1", False, 3),
    ]


async def told(kafka: Kafka, customer_id: str, count: int) -> list[tuple[str, bool, int]] | None:
    """What everybody was told of a customer, once it is `count` things."""
    consumer = AIOKafkaConsumer("crm.customer", bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        found = []
        while batches := await consumer.getmany(timeout_ms=1000):
            for record in (record for batch in batches.values() for record in batch):
                if record.key.decode() == customer_id:
                    one = decode(record.headers, record.value)
                    found.append((one.type, json.loads(record.value)["blacklisted"], one.aggregate_version))
        return found if len(found) >= count else None
    finally:
        await consumer.stop()


async def test_staff_merge_and_split(crm: Service, kafka: Kafka) -> None:
    """An overlap is shown, looked into, and settled either way; a repeated request does no harm."""
    organisation = await with_customers(
        crm,
        kafka,
        Orderer(name="Марія", email="maria@example.com", phone="+380671234567"),
        Orderer(name="Петро", email="petro@example.com", phone="+380671234567"),
        Orderer(name="Петро Коваль", email="petro@example.com", phone="+380671234567"),
    )
    (petro,) = (await crm.get("/customers", organisation, search="Петро"))["items"]
    path = f"/customers/{petro['customer_id']}"
    card, etag = await crm.call("GET", path, organisation)
    (overlap,) = card["possible_duplicates"]
    assert (overlap["kind"], overlap["value"]) == ("phone", "+380671234567")
    merged = f"{path}/merged/{overlap['customer_id']}"
    await crm.call("PUT", merged, organisation, status=428)
    whole, newer = await crm.call("PUT", merged, organisation, etag=etag)
    assert (len(whole["orders"]), whole["possible_duplicates"]) == (3, [])
    assert [one["name"] for one in whole["merged"]] == ["Марія"]
    again, same = await crm.call("PUT", merged, organisation, etag=etag)
    assert (again, same) == (whole, newer)
    for search in ("Марія", "maria@example.com"):
        (item,) = (await crm.get("/customers", organisation, search=search))["items"]
        assert (item["customer_id"], item["orders"]) == (petro["customer_id"], 3)
    gone = f"/customers/{overlap['customer_id']}"
    assert (await crm.get(gone, organisation))["customer_id"] == petro["customer_id"], "an old link leads to the card"
    await crm.call("PATCH", gone, organisation, json={"name": "x"}, etag=newer, status=409)
    card, etag = await crm.call("DELETE", merged, organisation, etag=newer)
    assert len(card["orders"]) == 2
    await crm.call("DELETE", merged, organisation, etag=etag, status=404)
    order_id = next(one["order_id"] for one in card["orders"] if one["typed"]["name"] == "Петро Коваль")
    for ids in ([], [str(uuid4())], [one["order_id"] for one in card["orders"]]):
        await crm.call("POST", f"{path}/split", organisation, json={"order_ids": ids}, etag=etag, status=422)
    new, _ = await crm.call(
        "POST", f"{path}/split", organisation, json={"order_ids": [order_id]}, etag=etag, status=201
    )
    assert (new["name"], new["emails"], len(new["orders"])) == ("Петро Коваль", [], 1)
    await crm.call("POST", f"{path}/split", organisation, json={"order_ids": [order_id]}, etag=etag, status=412)


async def test_the_second_person_of_an_address_is_found(crm: Service, kafka: Kafka) -> None:
    """They are one customer, known by that address, and typed two names."""
    organisation = await with_customers(
        crm,
        kafka,
        Orderer(name="Maria Shared", email="family@example.com"),
        Orderer(name="Petro Second", email="family@example.com", phone="+380501112233"),
    )
    # Which of the two orders is heard of first, nobody says: they are two keys.
    (known_as,) = await find(crm, organisation, "Petro")
    assert await find(crm, organisation, "second petro") == [known_as]
    assert await find(crm, organisation, "Maria") == [known_as]
    assert await find(crm, organisation, "Petro Shared") == [], "words of two names are nobody's name"


async def test_nobody_else_sees_a_customer(crm: Service, kafka: Kafka) -> None:
    organisation = await with_customers(crm, kafka, Orderer(name="Олена", email="olena@example.com"))
    (item,) = (await crm.get("/customers", organisation))["items"]
    path = f"/customers/{item['customer_id']}"
    stranger = uuid4()
    await crm.get(path, stranger, status=404)
    for method, route, body in (
        ("PATCH", path, {"name": "x"}),
        ("PUT", f"{path}/blacklist", {}),
        ("DELETE", f"{path}/blacklist", None),
        ("PUT", f"{path}/merged/{uuid4()}", None),
        ("DELETE", f"{path}/merged/{uuid4()}", None),
        ("POST", f"{path}/split", {"order_ids": [str(uuid4())]}),
    ):
        await crm.call(method, route, stranger, json=body, etag='"v1"', status=404)
        await crm.call(method, route, organisation, Role.STOREKEEPER, json=body, etag='"v1"', status=403)
        async with crm.http.request(method, f"{crm.url}{route}", json=body) as answer:
            assert answer.status == 401
    async with crm.http.get(f"{crm.url}{path}", headers=crm.tokens.headers(crm.tokens.buyer())) as answer:
        assert answer.status == 403


async def test_row_level_security_stands_behind_the_statements(crm: Service, kafka: Kafka) -> None:
    organisation = await with_customers(crm, kafka, Orderer(name="Олена", email="olena@example.com"))
    tables = ("customer", "alias", "customer_order", "organisation")
    for caller, visible in ((organisation, True), (uuid4(), False), (None, False)):
        async with crm.db.for_organisation(caller) as session:
            for table in tables:
                assert bool(await session.scalar(text(f"SELECT count(*) FROM {table}"))) is visible, table
            assert await session.scalar(text("SELECT count(*) FROM account")) == 0
