"""What ticketing tells of a show decides whether it can still be ordered, and what its orders are called."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.ticketing import ShowChanged, ShowSaleStarted, ShowSaleStopped, ShowState, ShowStatus
from services.orders.known import Show
from tests.harness import eventually
from tests.orders.stage import Stage
from tests.orders.ticketing import Hold


async def tell(stage: Stage, hold: Hold, version: int, kind: type[ShowState] = ShowChanged, **more: Any) -> None:
    """Ticketing tells of the hold's show, and orders has heard it."""
    data = kind(
        **{
            "show_id": hold.show_id,
            "name": hold.placed.show_name,
            "starts_at": hold.starts_at,
            "hall_id": uuid4(),
            "hall_name": "Велика зала",
            "status": ShowStatus.ON_SALE,
            "currency": "UAH",
            "price_zones": (),
            "capacity": 100,
            **more,
        }
    )
    await stage.ticketing.publish(data, stage.organisation, version=version)
    await eventually(lambda: heard(stage, hold.show_id, version))


async def heard(stage: Stage, show_id: UUID, version: int) -> bool:
    async with stage.db.as_worker() as session:
        show = await session.get(Show, show_id)
        return show is not None and show.version >= version


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ShowStatus.SALES_STOPPED, "stopped"),
        (ShowStatus.CANCELLED, "cancelled"),
        (ShowStatus.REPLACED, "replaced"),
        (ShowStatus.FINISHED, "over"),
    ],
)
async def test_nothing_is_ordered_of_a_show_that_is_not_sold(stage: Stage, status: ShowStatus, words: str) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    await tell(stage, hold, 1)
    placed = stage.ticketing.hold(stage.organisation, show_id=hold.show_id)
    before = await stage.checkout(placed)
    assert before.status == 201, before

    await tell(stage, hold, 2, ShowSaleStopped, status=status)
    answer = await stage.checkout(hold)
    assert (answer.status, answer.json["type"].rsplit("/", 1)[-1]) == (409, "show-not-on-sale"), answer
    assert words in answer.json["detail"]
    # What was placed may still be paid, and its buyer may ask for the page again.
    assert (await stage.checkout(placed)).status == 201
    stage.cards.pay(before.json["payment"]["payment_id"])
    assert (await stage.webhook(before.json["payment"]["payment_id"])).status == 200
    await stage.confirmed(placed.hold_id)

    await tell(stage, hold, 3, ShowSaleStarted)
    assert (await stage.checkout(hold)).status == 201


async def test_nothing_is_ordered_of_a_show_that_has_begun(stage: Stage) -> None:
    begun = stage.ticketing.hold(stage.organisation, starts_in=-timedelta(hours=1))
    answer = await stage.checkout(begun)
    assert answer.status == 409, answer
    assert "begun" in answer.json["detail"]


async def test_a_moved_show_is_ordered_by_who_saw_its_new_date(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation)
    moved = hold.starts_at + timedelta(days=1)
    await tell(stage, hold, 1, starts_at=moved, name="Лісова пісня (перенесено)")

    answer = await stage.checkout(hold)
    assert (answer.status, answer.json["type"].rsplit("/", 1)[-1]) == (409, "show-moved"), answer
    assert datetime.fromisoformat(answer.json["starts_at"]) == moved
    old = {str(hold.show_id): hold.starts_at.isoformat()}
    assert (await stage.checkout(hold, dates_seen=old | {str(hold.show_id): "2020-01-01T00:00:00Z"})).status == 409

    answer = await stage.checkout(hold, dates_seen={str(hold.show_id): moved.isoformat()})
    assert answer.status == 201, answer
    assert answer.json["order"]["title"] == "Лісова пісня (перенесено)"
    assert datetime.fromisoformat(answer.json["order"]["starts_at"]) == moved


async def test_a_quote_given_after_the_last_news_is_newer(stage: Stage) -> None:
    """The show's event may be late: the date in a newer quote is the one that the buyer saw."""
    hold = stage.ticketing.hold(stage.organisation)
    data = ShowChanged(
        show_id=hold.show_id, name="Лісова пісня", starts_at=hold.starts_at - timedelta(days=2), hall_id=uuid4(),
        hall_name="Зала", status=ShowStatus.ON_SALE, currency="UAH", price_zones=(), capacity=1,
    )  # fmt: skip
    await stage.ticketing.publish_at(data, stage.organisation, hold.until - timedelta(hours=1))
    await eventually(lambda: heard(stage, hold.show_id, 1))
    answer = await stage.checkout(hold)
    assert answer.status == 201, answer
    assert datetime.fromisoformat(answer.json["order"]["starts_at"]) == hold.starts_at


async def test_a_moved_and_renamed_show_reaches_its_orders(stage: Stage) -> None:
    card = await stage.buy()
    other = await stage.buy()
    hold = stage.ticketing.hold(stage.organisation, show_id=UUID(card["show_id"]))
    moved = hold.starts_at + timedelta(days=1)
    await tell(stage, hold, 2, starts_at=moved, name="Moved show (new)")
    # Told again by an older event, it stays.
    await stage.ticketing.publish(
        ShowChanged(
            show_id=hold.show_id, name="Old", starts_at=hold.starts_at, hall_id=uuid4(), hall_name="Зала",
            status=ShowStatus.ON_SALE, currency="UAH", price_zones=(), capacity=1,
        ),
        stage.organisation,
        version=1,
    )  # fmt: skip
    await tell(stage, stage.ticketing.hold(stage.organisation), 1)

    shown = await stage.card(card["id"])
    assert (shown["title"], datetime.fromisoformat(shown["starts_at"])) == ("Moved show (new)", moved)
    rows = (await stage.staff("GET", "/orders?all=true")).json["items"]
    assert {row["id"]: row["title"] for row in rows} == {card["id"]: "Moved show (new)", other["id"]: other["title"]}
    export = await stage.staff("GET", "/orders/export.csv")
    assert "Moved show (new)" in export.text
    # A hold that was placed before the change and is heard of after it.
    await stage.ticketing.publish_at(hold.placed, stage.organisation, hold.until - timedelta(days=3))
    await stage.order_becomes(hold.hold_id, title="Moved show (new)")
