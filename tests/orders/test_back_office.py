"""What staff see and do in the orders section."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from contracts import orders, ticketing
from contracts.accounts import Role
from contracts.notifications import Channel, MessageBounced, MessageFailed
from services.orders.desk.listing import Sort
from tests.harness import eventually
from tests.orders.desk import entered_by_staff, listed, placed
from tests.orders.stage import Stage


@pytest.mark.shows("ORD-7", "ORD-8", "ORD-9")
async def test_the_table_shows_paid_orders_and_all_columns(stage: Stage) -> None:
    paid, of_another_show = await stage.buy(), await stage.buy(seats=1)
    new = await placed(stage)
    newest, row = await listed(stage)
    assert (newest["id"], newest["quantity"]) == (of_another_show["id"], 1)
    assert (row["id"], row["number"], row["created_at"]) == (paid["id"], paid["number"], paid["created_at"])
    assert row["customer"]["name"] == "Марія Заньковецька"
    assert (row["title"], row["quantity"]) == ("Лісова пісня", 2)
    assert row["total"] == {"minor": 25_000, "currency": "UAH"}
    assert (row["label"], row["colour"], row["payment_method_label"]) == ("Paid", "green", "Payment by card")
    assert {"open", "note", "cancel", "refund"} == set(row["actions"])
    both = await listed(stage, "?all=true")
    assert {r["id"]: (r["label"], r["colour"]) for r in both} == {
        paid["id"]: ("Paid", "green"),
        of_another_show["id"]: ("Paid", "green"),
        new: ("New", "orange"),
    }


async def test_an_organisation_saves_its_default_view(stage: Stage) -> None:
    paid, new = (await stage.buy())["id"], await placed(stage)
    path = "/orders/default-view"
    seen = await stage.staff("GET", path)
    assert seen.json == {"shows": ["paid"], "products": None}
    assert [row["id"] for row in await listed(stage)] == [paid]
    both = {"shows": ["paid", "awaiting_payment"], "products": []}
    assert (await stage.staff("PUT", path, json=both)).status == 428
    assert (await stage.call("PUT", path, json=both, headers=stage.as_staff(Role.SUPPORT))).status == 403
    version = int(seen.headers["ETag"].strip('"v'))
    saved = await stage.staff("PUT", path, json=both, version=version)
    assert (saved.status, saved.json) == (200, both)
    assert (await stage.staff("PUT", path, json={}, version=version)).status == 412
    assert {row["id"] for row in await listed(stage)} == {paid, new}
    export = (await stage.staff("GET", "/orders/export.csv")).text
    assert len(export.splitlines()) == 3, "the export is the table"
    assert [row["id"] for row in await listed(stage, "?stage=paid")] == [paid], "who asks for a stage gets it"
    assert (await stage.staff("GET", "/orders/totals")).json["orders"] == 2
    await stage.staff("PUT", path, json={"shows": None}, version=version + 1)
    assert {row["id"] for row in await listed(stage)} == {paid, new}
    foreign = await stage.call("GET", path, headers=stage.as_staff(organisation=uuid4()))
    assert foreign.json == {"shows": ["paid"], "products": None}


async def test_the_status_of_an_order_over_its_life(stage: Stage) -> None:
    """A view over stage and payments, which stay as they are (GAP-15, GAP-18)."""
    order = await placed(stage)
    assert (await stage.card(order))["status"] == "awaiting_payment"
    await stage.staff("POST", f"/orders/{order}/cancel")
    assert (await stage.card(order))["status"] == "cancelled"
    card = await stage.buy()
    assert card["status"] == "paid"
    path = f"/orders/{card['id']}/refunds"
    await stage.staff("POST", path, json={"line_ids": [card["lines"][0]["line_id"]]})
    await stage.order_becomes(card["id"], status="partially_refunded", label="Paid")
    await stage.staff("POST", path, json={})
    await stage.order_becomes(card["id"], status="refunded", stage="cancelled", label="Refunded")


@pytest.mark.shows("ORD-14")
async def test_four_totals(stage: Stage) -> None:
    await stage.buy()
    await placed(stage)
    await placed(stage)
    totals = (await stage.staff("GET", "/orders/totals")).json
    assert totals == {
        "income": [{"minor": 25_000, "currency": "UAH"}],
        "orders": 3,
        "new_unpaid": 2,
        "paid": 1,
    }


@pytest.mark.shows("ORD-16", "ORD-17", "ORD-18", "ORD-19")
async def test_filters_combine_and_sorting_pages(stage: Stage) -> None:
    show = uuid4()
    names = ["Ганна", "борис", "Андрій"]
    mine = [
        await placed(stage, show_id=show, customer={"name": name, "email": f"{i}@example.com"})
        for i, name in enumerate(names)
    ]
    other = await placed(stage, zone="Балкон", customer={"name": "Яна", "email": "yana@example.com"})
    course, entered = await entered_by_staff(stage, "Юрій")
    await stage.staff("POST", f"/orders/{mine[0]}/mark-paid")
    assert [r["id"] for r in await listed(stage, f"?offer_id={course}")] == [entered]
    every_status = "&".join(f"stage={one.value}" for one in orders.FunnelStage)
    assert {row["id"] for row in await listed(stage, f"?{every_status}")} == {*mine, other, entered}
    assert {row["id"] for row in await listed(stage, f"?{every_status}&show_id={show}&customer=1@")} == {mine[1]}
    unpaid = await listed(stage, f"?show_id={show}&stage=awaiting_payment&stage=interested")
    assert {row["id"] for row in unpaid} == set(mine[1:])
    assert [r["id"] for r in await listed(stage, "?ticket=Балкон&all=true")] == [other]
    assert [r["id"] for r in await listed(stage, "?customer=yana@&all=true")] == [other]
    assert await listed(stage, f"?show_id={show}&ticket=Балкон&all=true") == []
    by_user = await listed(stage, f"?show_id={show}&all=true&sort=user")
    assert [row["customer"]["name"] for row in by_user] == ["Андрій", "борис", "Ганна"]

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await stage.staff("GET", f"/orders?all=true&limit=1&sort=-user&cursor={cursor}")).json
        seen += [row["customer"]["name"] for row in page["items"]]
        cursor = page["next"]
    assert seen == ["Яна", "Юрій", "Ганна", "борис", "Андрій"]
    assert (await stage.staff("GET", "/orders?cursor=nonsense")).status == 422

    since = {"show_id": str(show), "all": "true", "created_from": "2026-01-01T00:00:00+02:00"}
    assert len((await stage.staff("GET", "/orders", params=since)).json["items"]) == 3
    bare = await stage.staff("GET", "/orders", params=since | {"created_from": "2026-01-01T00:00:00"})
    assert bare.status == 422, "a time without a zone means nothing"


@pytest.mark.parametrize("sort", list(Sort))
async def test_pages_lose_and_repeat_nothing_where_all_are_alike(stage: Stage, sort: Sort) -> None:
    """Equal names, totals, states, titles and moments: the table goes on where it stopped."""
    same = text("""
        INSERT INTO orders (id, organisation, number, stage, currency, title, customer_name, created_at)
        SELECT gen_random_uuid(), theatre, left(md5(theatre::text || n), 9), 'awaiting_payment', 'UAH', 'Гамлет',
               'Олена', '2026-01-01'
        FROM generate_series(1, 23) n, (SELECT CAST(:organisation AS uuid) AS theatre) one
    """)
    async with stage.db.as_worker() as session:
        await session.execute(same, {"organisation": stage.organisation})
    pages: list[list[str]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"all": "true", "limit": 5, "sort": sort.value, "cursor": cursor}
        page = (await stage.staff("GET", "/orders", params=query)).json
        pages.append([row["id"] for row in page["items"]])
        cursor = page["next"]
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    seen = [row for page in pages for row in page]
    assert len(set(seen)) == 23
    if sort.value.lstrip("-") != "number":
        assert seen == sorted(seen, reverse=sort.value.startswith("-"))
    whole = await stage.staff("GET", "/orders", params={"all": "true", "limit": 200, "sort": sort.value})
    assert [row["id"] for row in whole.json["items"]] == seen


async def test_a_page_that_is_just_full_is_the_last(stage: Stage) -> None:
    for _ in range(2):
        await placed(stage)
    page = (await stage.staff("GET", "/orders?all=true&limit=2")).json
    assert (len(page["items"]), page["next"]) == (2, None)


async def test_an_edit_of_a_page_that_is_stale_is_refused_also_when_nobody_was_told(stage: Stage) -> None:
    """The hold ran out: no event says so of the order, and yet the page does not show it."""
    hold = stage.ticketing.hold(stage.organisation)
    assert (await stage.checkout(hold)).status == 201
    seen = (await stage.card(hold.hold_id))["version"]
    seats = tuple(seat.seat for seat in hold.seats)
    released = ticketing.HoldReleased(
        hold_id=hold.hold_id, show_id=hold.show_id, seats=seats, reason=ticketing.HoldEnd.EXPIRED
    )
    await stage.ticketing.publish(released, stage.organisation)

    async def newer() -> bool:
        return bool((await stage.card(hold.hold_id))["version"] > seen)

    await eventually(newer)
    stale = await stage.staff("POST", f"/orders/{hold.hold_id}/cancel", version=seen)
    assert (stale.status, stale.json["type"]) == (412, "/problems/changed-meanwhile")
    assert (await stage.card(hold.hold_id))["stage"] == "awaiting_payment"


async def test_search_by_number_and_customer(stage: Stage) -> None:
    order = await placed(stage, customer={"name": "Іван Карпенко-Карий", "phone": "067 123 45 67"})
    await placed(stage)
    number = (await stage.card(order))["number"]
    for words in (number, number.lower().replace("-", ""), "карпенко", "+380671234567", "100%"):
        found = await stage.staff("GET", "/orders", params={"search": words, "all": "true"})
        assert [row["id"] for row in found.json["items"]] == ([] if words == "100%" else [order]), words


@pytest.mark.shows("ORD-36")
async def test_staff_see_that_the_client_has_paid_already(stage: Stage) -> None:
    show, customer = uuid4(), {"name": "Панас", "email": "panas@example.com"}
    first = await placed(stage, show_id=show, customer=customer)
    second = await placed(stage, show_id=show, customer=customer)
    assert [row["already_paid"] for row in await listed(stage, "?all=true")] == [False, False]
    await stage.staff("POST", f"/orders/{first}/mark-paid")
    rows = {row["id"]: row["already_paid"] for row in await listed(stage, "?all=true")}
    assert rows == {first: False, second: True}


@pytest.mark.shows("ORD-23", "ORD-24")
async def test_the_card_shows_everything(stage: Stage) -> None:
    customer = {"name": "Іван Тобілевич", "email": "ivan@example.com", "phone": "+380501112233"}
    new = await stage.card(await placed(stage, customer=customer))
    assert (new["label"], new["payment_status"], new["paid_at"]) == ("New", "not_paid", None)
    assert {name: new["customer"][name] for name in customer} == customer
    card = await stage.buy()
    assert card["id"]
    assert card["total"] == {"minor": 25_000, "currency": "UAH"}
    assert (card["title"], [line["title"] for line in card["lines"]]) == (
        "Лісова пісня",
        ["Партер, ряд 1, місце 1", "Партер, ряд 1, місце 2"],
    )
    assert card["customer"]["name"] == "Марія Заньковецька"
    assert card["customer"]["email"].endswith("@example.com")
    assert (card["label"], card["payment_status"]) == ("Paid", "money_received")
    assert card["paid_at"] > card["created_at"]
    (payment,) = card["payments"]
    assert (payment["payment_system"], payment["stage"]) == ("sandbox", "received")
    assert [line["participant"]["name"] for line in card["lines"]] == ["Марія Заньковецька"] * 2
    assert all(line["ticket_number"].startswith("T-") for line in card["lines"])
    assert card["documents"][0]["url"] == f"http://tickets.test/documents/{card['id']}"


async def test_what_people_registered_is_shown_beside_what_was_typed(stage: Stage) -> None:
    email = f"{uuid4().hex[:8]}@example.com"
    guest = f"guest-{email}"
    await stage.register_account(guest, "Чужа людина", "+380931112233", shared=False)
    await stage.register_account(email.upper(), "Марія Адасовська", "+380671234567")
    hold = stage.ticketing.hold(stage.organisation, seats=2)
    participants = [{"seat": hold.seats[1].seat, "name": "Гість", "email": guest}]
    await stage.checkout(hold, customer={"name": "Марія", "email": email}, participants=participants)
    card = await eventually(lambda: _registered(stage, str(hold.hold_id)))
    assert card["customer"]["name"] == "Марія"
    assert card["customer"]["registered"] == {"name": "Марія Адасовська", "email": email, "phone": "+380671234567"}
    assert [bool(line["registered"]) for line in card["lines"]] == [True, False], "whose address it is is not shown"


async def _registered(stage: Stage, order: str) -> dict[str, Any] | None:
    card = await stage.card(order)
    return card if card["customer"]["registered"] else None


@pytest.mark.shows("ORD-47", "ORD-66")
async def test_notes_and_history(stage: Stage) -> None:
    order = await placed(stage)
    before = (await stage.card(order))["version"]
    added = await stage.staff("POST", f"/orders/{order}/notes", json={"text": "Передзвонити завтра"})
    assert added.status == 201
    card = await stage.card(order)
    assert [(n["text"], n["author"]) for n in card["notes"]] == [("Передзвонити завтра", "staff@example.com")]
    assert card["version"] > before
    history = (await stage.staff("GET", f"/orders/{order}/history")).json["items"]
    assert [entry["what"] for entry in history] == ["placed", "payment_started", "note"]
    assert history[-1]["actor"] == "staff@example.com"


async def test_another_organisation_and_buyers_see_nothing(stage: Stage) -> None:
    card = await stage.buy()
    stranger = stage.as_staff(Role.PROJECT_HEAD, organisation=uuid4())
    for method, path in (
        ("GET", ""), ("POST", "/cancel"), ("POST", "/mark-paid"), ("POST", "/refunds"), ("GET", "/history"),
    ):  # fmt: skip
        json: Any = None if method == "GET" else {}
        answer = await stage.call(method, f"/orders/{card['id']}{path}", headers=stranger, json=json)
        assert answer.status == 404, (path, answer)
    assert (await stage.call("GET", "/orders?all=true", headers=stranger)).json["items"] == []
    buyer = stage.tokens.headers(stage.tokens.buyer())
    assert (await stage.call("GET", "/orders", headers=buyer)).status == 403
    assert (await stage.call("GET", f"/orders/{card['id']}", headers=buyer)).status == 404
    assert (await stage.call("GET", "/orders")).status == 401
    assert (await stage.call("GET", f"/orders/{card['id']}")).status == 401
    storekeeper = stage.as_staff(Role.STOREKEEPER)
    assert (await stage.call("GET", "/orders", headers=storekeeper)).status == 403


async def test_staff_see_at_the_order_that_an_address_takes_no_mail(stage: Stage) -> None:
    order = await stage.buy()
    state = {
        "channel": Channel.EMAIL,
        "template": "tickets_issued",
        "recipient_hash": "0" * 64,
        "order_id": UUID(order["id"]),
        "attempts": 1,
    }
    bounced = MessageBounced(message_id=uuid4(), reason="5.1.1 no such user", **state)
    failed = MessageFailed(message_id=uuid4(), reason="the address takes no mail: 5.1.1 no such user", **state)
    of_no_order = MessageFailed(message_id=uuid4(), reason="550", **{**state, "order_id": None})
    of_another_house = MessageFailed(message_id=uuid4(), reason="550", **state)
    await stage.ticketing.publish(of_another_house, uuid4())
    for message in (of_no_order, bounced, bounced, failed):
        await stage.ticketing.publish(message, stage.organisation)

    async def told() -> Any:
        shown = (await stage.card(order["id"]))["undelivered"]
        return shown if len(shown) == 2 else None

    shown = await eventually(told)
    assert {(each["template"], each["channel"], each["reason"]) for each in shown} == {
        ("tickets_issued", "email", bounced.reason),
        ("tickets_issued", "email", failed.reason),
    }
