"""What staff see and do in the orders section."""

from __future__ import annotations

import asyncio
import io
import zipfile
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts import orders
from contracts.accounts import Role
from tests.harness import eventually
from tests.orders.stage import Stage


async def placed(stage: Stage, **more: Any) -> str:
    customer = more.pop("customer", None)
    hold = stage.ticketing.hold(stage.organisation, **more)
    answer = await stage.checkout(hold, **({"customer": customer} if customer else {}))
    assert answer.status == 201, answer
    return str(hold.hold_id)


async def listed(stage: Stage, query: str = "") -> list[dict[str, Any]]:
    answer = await stage.staff("GET", f"/orders{query}")
    assert answer.status == 200, answer
    return answer.json["items"]  # type: ignore[no-any-return]


@pytest.mark.shows("ORD-7", "ORD-8", "ORD-9")
async def test_the_table_shows_paid_orders_and_all_columns(stage: Stage) -> None:
    paid = await stage.buy()
    new = await placed(stage)
    (row,) = await listed(stage)
    assert row["id"] == paid["id"]
    assert row["number"] == paid["number"]
    assert row["customer"]["name"] == "Марія Заньковецька"
    assert (row["title"], row["quantity"]) == ("Лісова пісня", 2)
    assert row["total"] == {"minor": 25_000, "currency": "UAH"}
    assert (row["label"], row["colour"], row["payment_method_label"]) == ("Paid", "green", "Payment by card")
    assert {"open", "note", "cancel", "refund", "delete"} == set(row["actions"])
    both = await listed(stage, "?all=true")
    assert {r["id"]: (r["label"], r["colour"]) for r in both} == {
        paid["id"]: ("Paid", "green"),
        new: ("New", "orange"),
    }


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
    assert {row["id"] for row in await listed(stage, f"?show_id={show}&stage=awaiting_payment&stage=interested")} == {
        *mine
    }
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
    assert seen == ["Яна", "Ганна", "борис", "Андрій"]
    assert (await stage.staff("GET", "/orders?cursor=nonsense")).status == 422


async def test_search_by_number_and_customer(stage: Stage) -> None:
    order = await placed(stage, customer={"name": "Іван Карпенко-Карий", "phone": "067 123 45 67"})
    await placed(stage)
    number = (await stage.card(order))["number"]
    for text in (number, number.lower().replace("-", ""), "карпенко", "+380671234567", "100%"):
        found = await stage.staff("GET", "/orders", params={"search": text, "all": "true"})
        assert [row["id"] for row in found.json["items"]] == ([] if text == "100%" else [order]), text


@pytest.mark.shows("ORD-35", "ORD-36")
async def test_staff_see_that_the_client_has_paid_already(stage: Stage) -> None:
    show, customer = uuid4(), {"name": "Панас", "email": "panas@example.com"}
    first = await placed(stage, show_id=show, customer=customer)
    second = await placed(stage, show_id=show, customer=customer)
    assert [row["already_paid"] for row in await listed(stage, "?all=true")] == [False, False]
    await stage.staff("POST", f"/orders/{first}/mark-paid")
    rows = {row["id"]: row["already_paid"] for row in await listed(stage, "?all=true")}
    assert rows == {first: False, second: True}


@pytest.mark.shows("ORD-23", "ORD-24", "ORD-25", "ORD-56")
async def test_the_card_shows_everything(stage: Stage) -> None:
    card = await stage.buy()
    assert card["total"] == {"minor": 25_000, "currency": "UAH"}
    assert card["customer"]["email"].endswith("@example.com")
    assert card["created_at"]
    assert card["paid_at"]
    (payment,) = card["payments"]
    assert (payment["payment_system"], payment["stage"]) == ("sandbox", "received")
    assert [line["participant"]["name"] for line in card["lines"]] == ["Марія Заньковецька"] * 2
    assert all(line["ticket_number"].startswith("T-") for line in card["lines"])
    assert card["documents"][0]["url"] == "http://tickets.test/documents/abc"


@pytest.mark.shows("ORD-26", "REG-6", "CUS-12")
async def test_what_people_registered_is_shown_beside_what_was_typed(stage: Stage) -> None:
    email = f"{uuid4().hex[:8]}@example.com"
    await stage.register_account(email.upper(), "Марія Адасовська", "+380671234567")
    hold = stage.ticketing.hold(stage.organisation, seats=2)
    participants = [{"seat": hold.seats[1].seat, "name": "Гість", "email": "guest@example.com"}]
    await stage.checkout(hold, customer={"name": "Марія", "email": email}, participants=participants)
    card = await eventually(lambda: _registered(stage, str(hold.hold_id)))
    assert card["customer"]["name"] == "Марія"
    assert card["customer"]["registered"] == {"name": "Марія Адасовська", "email": email, "phone": "+380671234567"}
    assert [bool(line["registered"]) for line in card["lines"]] == [True, False]


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


@pytest.mark.shows("ORD-52")
async def test_cancelling_an_unpaid_order_frees_the_seats_and_tells_nobody(stage: Stage) -> None:
    order = await placed(stage)
    answer = await stage.staff("POST", f"/orders/{order}/cancel", json={"reason": "created by mistake"})
    assert answer.status == 200, answer
    assert (answer.json["stage"], answer.json["cancelled_from"]) == ("cancelled", "awaiting_payment")
    (told,) = await eventually(lambda: stage.ticketing.told(order, orders.OrderCancelled))
    assert (told.was_paid, told.reason) == (False, "created by mistake")
    assert stage.ticketing.told(order, orders.TicketsRevoked) == []


@pytest.mark.shows("ORD-91", "ORD-109")
async def test_cancelling_a_paid_order_voids_the_tickets_then_returns_the_money(stage: Stage) -> None:
    card = await stage.buy()
    stage.ticketing.silent.add(_id(card))
    assert (await stage.staff("POST", f"/orders/{card['id']}/cancel")).status == 200
    (revoked,) = await eventually(lambda: _revocations(stage, card))
    assert len(revoked.data.seats) == 2
    (told,) = await eventually(lambda: stage.ticketing.told(card["id"], orders.OrderCancelled))
    assert told.was_paid
    assert stage.cards.calls["refund"] == 0, "money went back before the tickets were void"
    await stage.ticketing.void(revoked)
    done = await stage.order_becomes(card["id"], stage="cancelled", payment_status="money_refunded")
    assert done["cancelled_from"] == "paid"
    assert done["money_refunded_at"]
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}


def _id(card: dict[str, Any]) -> UUID:
    return UUID(card["id"])


def _revocations(stage: Stage, card: dict[str, Any]) -> list[Any]:
    return [e for e in stage.ticketing.events[_id(card)] if isinstance(e.data, orders.TicketsRevoked)]


@pytest.mark.shows("ORD-57", "TKT-22")
async def test_refund_in_part_then_in_full(stage: Stage) -> None:
    card = await stage.buy(seats=3, price=10_000)
    first, *others = [line["line_id"] for line in card["lines"]]
    key = {"Idempotency-Key": uuid4().hex}
    path = f"/orders/{card['id']}/refunds"
    asked = await stage.staff("POST", path, json={"line_ids": [first], "reason": "ill"}, headers=key)
    again = await stage.staff("POST", path, json={"line_ids": [first], "reason": "ill"}, headers=key)
    assert (asked.status, again.status) == (201, 201)
    assert asked.json == again.json
    assert again.headers["Idempotency-Replay"] == "true"
    other_body = await stage.staff("POST", path, json={"line_ids": others[:1]}, headers=key)
    assert other_body.status == 422
    partly = await stage.order_becomes(card["id"], payment_status="partially_refunded", stage="paid")
    assert partly["refunded"] == {"minor": 10_000, "currency": "UAH"}
    assert [line["state"] for line in partly["lines"]] == ["gone", "live", "live"]

    twice = await stage.staff("POST", path, json={"line_ids": [first]})
    assert twice.status == 409
    assert (await stage.staff("POST", path, json={})).status == 201
    full = await stage.order_becomes(card["id"], payment_status="money_refunded", stage="cancelled")
    assert full["refunded"] == {"minor": 30_000, "currency": "UAH"}
    await eventually(lambda: len(stage.ticketing.told(card["id"], orders.OrderRefunded)) == 2)
    parts = stage.ticketing.told(card["id"], orders.OrderRefunded)
    assert [(told.amount.minor, told.full) for told in parts] == [(10_000, False), (20_000, True)]
    assert sum(told.amount.minor for told in stage.ticketing.told(card["id"], orders.PaymentRefunded)) == 30_000
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 0, "sales": 0}


async def test_two_staff_cancel_at_once(stage: Stage) -> None:
    card = await stage.buy()
    answers = await asyncio.gather(*(stage.staff("POST", f"/orders/{card['id']}/cancel") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    await stage.order_becomes(card["id"], payment_status="money_refunded")
    assert len(stage.ticketing.told(card["id"], orders.OrderCancelled)) == 1


async def test_stale_edits_are_refused(stage: Stage) -> None:
    order = await placed(stage)
    version = (await stage.card(order))["version"]
    change = {"customer": {"name": "Інше Імʼя", "email": "other@example.com"}}
    assert (await stage.staff("PATCH", f"/orders/{order}", json=change)).status == 428
    changed = await stage.staff("PATCH", f"/orders/{order}", json=change, version=version)
    assert changed.status == 200, changed
    assert changed.headers["ETag"] == f'"v{changed.json["version"]}"'
    stale = await stage.staff("PATCH", f"/orders/{order}", json=change, version=version)
    assert (stale.status, stale.json["version"]) == (412, changed.json["version"])
    for path in ("cancel", "mark-paid", "refunds"):
        answer = await stage.staff("POST", f"/orders/{order}/{path}", json={}, version=version)
        assert answer.status == 412, path
    assert (await stage.staff("DELETE", f"/orders/{order}", version=version)).status == 412
    (told,) = await eventually(lambda: stage.ticketing.told(order, orders.OrderChanged))
    assert told.customer.name == "Інше Імʼя"


@pytest.mark.shows("ORD-54")
async def test_deleted_orders_leave_the_lists_and_keep_their_money(stage: Stage) -> None:
    card = await stage.buy()
    version = (await stage.card(card["id"]))["version"]
    assert (await stage.staff("DELETE", f"/orders/{card['id']}", version=version)).status == 204
    assert await listed(stage, "?all=true") == []
    assert (await stage.card(card["id"]))["payments"]
    history = (await stage.staff("GET", f"/orders/{card['id']}/history")).json["items"]
    assert (history[-1]["what"], history[-1]["actor"]) == ("deleted", "staff@example.com")
    await eventually(lambda: stage.ticketing.told(card["id"], orders.OrderDeleted))

    unpaid = await placed(stage)
    version = (await stage.card(unpaid))["version"]
    assert (await stage.staff("DELETE", f"/orders/{unpaid}", version=version)).status == 204
    await eventually(lambda: stage.ticketing.told(unpaid, orders.OrderCancelled))


@pytest.mark.shows("ORD-20", "ORD-22", "ORD-60")
async def test_export_is_the_filtered_table_and_harmless(stage: Stage) -> None:
    evil = '=HYPERLINK("http://evil.example";"click")'
    await placed(stage, customer={"name": evil, "phone": "+380671234567"})
    await placed(stage, customer={"name": "  +1", "email": "plus@example.com"})
    await placed(stage, customer={"name": "Ольга Кобилянська", "email": "olha@example.com"})
    answer = await stage.staff("GET", "/orders/export.csv?stage=awaiting_payment&sort=user&delimiter=;")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.body.startswith(b"\xef\xbb\xbf")
    lines = answer.text.removeprefix("\ufeff").split("\r\n")
    assert lines[0].startswith("Order;Client;E-mail;Phone;Product;Quantity;Price;")
    names = [line.split(";")[1] for line in lines[1:4]]
    assert names[0] == "'+1"
    assert names[1].startswith("\"'=HYPERLINK")
    assert names[2] == "Ольга Кобилянська"
    assert ";380671234567;" in lines[2]
    assert ";250.00;UAH;New;" in lines[3]
    filtered = await stage.staff("GET", "/orders/export.csv?customer=olha&all=true")
    assert filtered.text.count("\r\n") == 2
    workbook = await stage.staff("GET", "/orders/export.xlsx?stage=awaiting_payment&sort=user")
    with zipfile.ZipFile(io.BytesIO(workbook.body)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert sheet.index("+1") < sheet.index("HYPERLINK") < sheet.index("Ольга Кобилянська")
    assert "<v>250</v>" in sheet


@pytest.mark.shows("ROL-14")
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
