"""Figures that staff read, of sales that took place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.flows.house import House, uah
from tests.harness import eventually


@pytest.fixture
async def evening(house: House) -> dict[str, Any]:
    """One order is paid, one partly refunded, one by invoice is open, one booking is held; another show sells too.

    Gives that other show.
    """
    other = await house.put_on("Кайдаші")
    for seats, show in ((("1-1", "1-2"), None), (("1-3",), other)):
        await house.bought(house.person("Глядач"), *seats, show=show)
    partly = await house.bought(house.person("Глядачка"), "2-1", "2-2")
    line = next(line["line_id"] for line in (await partly.card())["lines"] if line["reference"] == "2-1")
    await house.desk.post(f"{partly.path}/refunds", {"line_ids": [line], "reason": "захворіла"})
    await partly.becomes(payment_status="partially_refunded")
    open_ = await house.hold(house.person("Школа"), "2-5")
    await open_.check_out("invoice")
    booked = await house.hold(house.person("Мавка"), "2-9")
    await booked.becomes(stage="interested")
    return other


@pytest.mark.usefixtures("evening")
@pytest.mark.shows("RPT-1", "ORD-14")
async def test_the_four_totals(house: House) -> None:
    four = {"income": [uah(100_000)], "orders": 5, "new_unpaid": 1, "paid": 3}
    assert await house.desk.get("/api/orders/orders/totals") == four

    async def reported() -> dict[str, Any]:
        totals: dict[str, Any] = await house.desk.get("/api/reporting/totals")
        assert {name: totals[name] for name in four} == four
        return totals

    totals = await eventually(reported, timeout=30)
    assert (totals["received"], totals["refunded"]) == ([uah(125_000)], [uah(25_000)])


@pytest.mark.shows("RPT-6", "TKT-17")
async def test_bookings_and_paid_orders_of_a_show_or_a_period(house: House, evening: dict[str, Any]) -> None:
    show = house.show["show_id"]
    statistics = f"/api/ticketing/shows/{show}/statistics"
    now = await house.organizer.get(statistics)
    assert now["seats"] == {"capacity": 20, "for_sale": 20, "free": 15, "held": 2, "sold": 3}
    assert now["tickets"] == {"issued": 4, "voided": 1, "sold": uah(100_000), "returned": uah(25_000)}
    assert {state: count["holds"] for state, count in now["bookings"].items() if count["holds"]} == {
        "active": 2,
        "converted": 2,
    }
    yesterday, tomorrow = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
    in_period = await house.organizer.get(f"{statistics}?from={_z(yesterday)}&to={_z(tomorrow)}")
    assert in_period == now
    before = await house.organizer.get(f"{statistics}?to={_z(yesterday)}")
    assert (before["tickets"]["issued"], before["bookings"]["active"]["holds"]) == (0, 0)

    path = f"/api/reporting/shows/{show}/totals"
    expected = {"orders": 4, "new_unpaid": 1, "paid": 2, "income": [uah(75_000)]}

    async def reported() -> dict[str, Any]:
        totals: dict[str, Any] = await house.organizer.get(path)
        assert {name: totals[name] for name in expected} == expected
        assert totals["by_stage"] == {"interested": 1, "awaiting_payment": 1, "paid": 2}
        assert totals["tickets"] == {"issued": 4, "valid": 3, "voided": 1}
        return totals

    totals = await eventually(reported, timeout=30)
    assert totals["show"]["name"] == house.show["name"]
    same = await house.organizer.get(f"{path}?from={yesterday:%Y-%m-%d}&to={tomorrow:%Y-%m-%d}")
    assert {name: same[name] for name in expected} == expected
    nothing = await house.organizer.get(f"{path}?to={yesterday - timedelta(days=1):%Y-%m-%d}")
    assert (nothing["orders"], nothing["income"]) == (0, [])

    async def other_show() -> bool:
        totals = await house.organizer.get(f"/api/reporting/shows/{evening['show_id']}/totals")
        assert (totals["orders"], totals["income"]) == (1, [uah(25_000)])
        return True

    await eventually(other_show, timeout=30)


def _z(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
