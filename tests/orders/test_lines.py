"""Orders of standing places: lines with quantities, given and taken back in part."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from contracts import orders
from contracts.envelope import EVENT_BYTES
from tests.harness import eventually
from tests.orders.stage import Stage


def line_of(card: dict[str, Any], kind: str) -> dict[str, Any]:
    (line,) = (line for line in card["lines"] if line["kind"] == kind)
    return line  # type: ignore[no-any-return]


async def test_a_line_of_places_says_what_was_given_and_taken_back(stage: Stage) -> None:
    card = await stage.buy(seats=1, places=5)
    line = line_of(card, "place")
    assert (line["quantity"], line["given"], line["returned"], line["state"]) == (5, 5, 0, "live")
    assert (line["given_by"], line["fare"], line["fare_name"]) == ("ticketing", "child", "Дитячий")
    assert (line["hold_id"], line["show_id"]) == (card["id"], card["show_id"])
    assert (line["zone_name"], line["total"]["minor"]) == ("Фан-зона", 5 * 3_333)
    assert card["quantity"] == 6

    part = {"line_id": line["line_id"], "quantity": 1, "fee_minor": 33}
    answer = await stage.staff("POST", f"/orders/{card['id']}/refunds", json={"lines": [part], "reason": "ill"})
    assert answer.status == 201, answer
    card = await stage.order_becomes(card["id"], payment_status="partially_refunded")
    line = line_of(card, "place")
    assert (line["returned"], line["state"], line["refunded"]) == (1, "live", {"minor": 3_300, "currency": "UAH"})
    (revoked,) = stage.ticketing.told(card["id"], orders.TicketsRevoked)
    assert (revoked.seats, [(p.line_id, p.quantity) for p in revoked.places]) == ((), [(UUID(line["line_id"]), 1)])
    (refunded,) = stage.ticketing.told(card["id"], orders.OrderRefunded)
    (told,) = (x for x in refunded.lines if x.kind is orders.LineKind.PLACE)
    assert (refunded.amount.minor, told.returned, told.given) == (3_300, 1, 5)

    # The rest of it, and the seat: the fee stays.
    answer = await stage.staff("POST", f"/orders/{card['id']}/refunds", json={"reason": "cancelled"})
    assert answer.status == 201, answer
    card = await stage.order_becomes(card["id"], stage="cancelled", refunded={"minor": 29_132, "currency": "UAH"})
    assert card["paid"]["minor"] - card["refunded"]["minor"] == 33
    assert await stage.ledger_is_zero() == {"buyer": 0, "cash": 33, "sales": -33}


async def test_money_goes_back_though_everything_stays(stage: Stage) -> None:
    card = await stage.buy(seats=2)
    line = card["lines"][0]
    body = {"lines": [{"line_id": line["line_id"], "amount_minor": 2_000}], "reason": "a column in front of the seat"}
    assert (await stage.staff("POST", f"/orders/{card['id']}/refunds", json=body)).status == 201
    card = await stage.order_becomes(card["id"], refunded={"minor": 2_000, "currency": "UAH"})
    assert (card["stage"], [x["state"] for x in card["lines"]]) == ("paid", ["live", "live"])
    assert stage.ticketing.told(card["id"], orders.TicketsRevoked) == []
    history = (await stage.staff("GET", f"/orders/{card['id']}/history")).json["items"]
    (asked,) = (entry for entry in history if entry["what"] == "refund_asked")
    assert asked["details"]["reason"] == "a column in front of the seat"
    assert asked["details"]["parts"] == [{"line": line["line_id"], "amount": 2_000}]
    await eventually(lambda: stage.cards.calls["refund"] == 1)


@pytest.mark.parametrize(
    ("part", "status"),
    [
        ({"quantity": 6}, 409),
        ({"quantity": 1, "fee_minor": 3_334}, 409),
        ({"amount_minor": 5 * 3_333 + 1}, 409),
        ({"amount_minor": 1, "quantity": 1}, 422),
        ({"quantity": 0}, 422),
        ({"fee_minor": -1}, 422),
        ({"amount_minor": 0}, 422),
    ],
)
async def test_more_than_there_is_cannot_go_back(stage: Stage, part: dict[str, int], status: int) -> None:
    card = await stage.buy(seats=0, places=5)
    body = {"lines": [{"line_id": card["lines"][0]["line_id"], **part}], "reason": "?"}
    answer = await stage.staff("POST", f"/orders/{card['id']}/refunds", json=body)
    assert answer.status == status, answer
    assert (await stage.card(card["id"]))["refunded"]["minor"] == 0


async def test_an_order_of_two_thousand_seats(stage: Stage) -> None:
    """It is bought, given and taken back, and every event of it fits into Kafka."""
    card = await stage.buy(seats=2_000)
    assert len(card["lines"]) == 2_000
    refund = {"line_ids": [line["line_id"] for line in card["lines"][:1_999]], "reason": "the tour was called off"}
    answer = await stage.staff("POST", f"/orders/{card['id']}/refunds", json=refund)
    assert answer.status == 201, answer
    await stage.order_becomes(card["id"], refunded={"minor": 1_999 * 12_500, "currency": "UAH"})
    sizes = [len(event.data.to_json()) for event in stage.ticketing.events[UUID(card["id"])]]
    assert 500_000 < max(sizes) < EVENT_BYTES


async def test_names_that_no_event_could_carry_are_refused(stage: Stage) -> None:
    hold = stage.ticketing.hold(stage.organisation, seats=2_000)
    people = [{"seat": seat.seat, "name": f"{'Ї' * 90} {n}"} for n, seat in enumerate(hold.seats)]
    answer = await stage.checkout(hold, participants=people)
    assert (answer.status, "two parts" in answer.json["detail"]) == (422, True), answer
