"""The orders table is searched as people type, and sorted as they read."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import text

from services.orders.order.searched import keep_unsearchable
from tests.harness import eventually
from tests.orders.desk import placed
from tests.orders.stage import Stage

NAMES = "Анна", "Ґалаґан", "Єва", "Іван", "Їжак", "Яна", "Łukasz", "Óscar", "Zbigniew", "Żaneta"


async def found(stage: Stage, search: str) -> list[str]:
    answer = await stage.staff("GET", "/orders", params={"search": search, "all": "true"})
    return [row["id"] for row in answer.json["items"]]


async def test_an_order_is_found_by_its_customer_however_typed(stage: Stage) -> None:
    lukasz = await placed(stage, customer={"name": "Łukasz Wójcik", "phone": "+48 501 234 567"})
    olena = await placed(stage, customer={"name": "Олена Дем'янчук", "phone": "067 111 22 33"})
    for search in ("wojcik lukasz", "501 234 567"):
        assert await found(stage, search) == [lukasz], search
    for search in ("Демʼянчук Олена", "+38 (067) 111-22-33", "067 1112233"):
        assert await found(stage, search) == [olena], search
    number = (await stage.card(olena))["number"]
    for search in (f"№ {number}", number.replace("-", "–"), number.replace("-", ""), f"#{number.lower()}"):
        assert await found(stage, search) == [olena], search
    assert await found(stage, "%") == []


async def test_a_corrected_name_is_found_and_the_old_one_is_not(stage: Stage) -> None:
    order = await placed(stage, customer={"name": "Тина", "email": f"{uuid4().hex}@example.com"})
    card = await stage.card(order)
    changed = await stage.staff(
        "PATCH", f"/orders/{order}", json={"customer": {**_typed(card), "name": "Tina"}}, version=card["version"]
    )
    assert changed.status == 200, changed.json
    assert await found(stage, "tina") == [order]
    assert (await stage.staff("GET", "/orders?all=true&sort=user")).json["items"][0]["customer"]["name"] == "Tina"


def _typed(card: dict[str, object]) -> dict[str, object]:
    customer = card["customer"]
    assert isinstance(customer, dict)
    return {name: customer[name] for name in ("name", "email", "phone")}


@pytest.mark.parametrize("descending", [False, True])
async def test_customers_are_in_the_order_of_the_alphabet_over_pages(stage: Stage, descending: bool) -> None:
    for name in sorted(NAMES):
        await placed(stage, customer={"name": name, "email": f"{uuid4().hex}@example.com"})

    async def read() -> list[str]:
        seen: list[str] = []
        query: dict[str, str] = {"all": "true", "sort": "-user" if descending else "user", "limit": "3"}
        while True:
            page = (await stage.staff("GET", "/orders", params=query)).json
            seen += [row["customer"]["name"] for row in page["items"]]
            if page["next"] is None:
                return seen
            query["cursor"] = page["next"]

    async def check() -> bool:
        # As soon as the organisation's language is known, which is Ukrainian.
        assert await read() == list(reversed(NAMES) if descending else NAMES)
        return True

    await eventually(check)


async def test_an_order_of_an_older_release_becomes_searchable(stage: Stage) -> None:
    order = await placed(stage, customer={"name": "Панас", "email": "panas@example.com"})
    async with stage.db.as_worker() as session:
        await session.execute(text("DELETE FROM searched WHERE id = :id"), {"id": order})
        await session.execute(
            text("UPDATE orders SET searched_as = NULL, customer_sort = '' WHERE id = :id"), {"id": order}
        )

    async def check() -> bool:
        # The service's own job may have been quicker.
        await keep_unsearchable(stage.db)
        assert await found(stage, "Панас") == [order]
        return True

    await eventually(check)
