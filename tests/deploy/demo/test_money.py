"""What the demo says of money."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from deploy.demo.audit import Audit, orders_account
from deploy.demo.story import Story


def uah(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "UAH"}


def test_money_that_is_held_is_not_received() -> None:
    held = {"stage": "held", "amount": uah(700)}
    received = {"stage": "received", "amount": uah(500)}
    cards = [
        {"id": "1", "stage": "paid", "payment_status": "hold", "paid": uah(0), "refunded": uah(0), "payments": [held]},
        {
            "id": "2",
            "stage": "paid",
            "payment_status": "partially_refunded",
            "paid": uah(500),
            "refunded": uah(100),
            "payments": [received],
        },
    ]
    result = Audit("UAH")
    orders_account(result, cast(Story, SimpleNamespace(purchases=[], doubtful=[])), cards)
    said = result.accounts[0].lines[-1]
    assert "held 7.00" in said, said
    assert "received 5.00" in said, said
    assert "kept 4.00" in said, said
