"""The sandbox's API over HTTP, in a process of its own."""

from __future__ import annotations

import json

import pytest

from services.orders.payments.providers import standard_webhooks
from tests.harness import eventually
from tests.sandbox.sandbox_process import SECRET, Shop, sandbox_process


async def paid(shop: Shop, card: str = "success", **fields):
    payment = await shop.open(**fields)
    await shop.browse(payment["url"], {"card": card})
    return payment


async def test_without_the_key_nothing_is_answered(shop):
    for method, path in (("POST", "/v1/payments"), ("GET", "/v1/payments/x"), ("POST", "/v1/behaviour")):
        status, answer = await shop.call(method, path, {}, api_key="wrong")
        assert (status, answer["error"]["code"]) == (401, "unauthorised")


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": {"minor": 0, "currency": "UAH"}},
        {"amount": {"minor": 12.5, "currency": "UAH"}},
        {"amount": {"minor": 1, "currency": "грн"}},
        {"return_url": "javascript:alert(1)"},
        {"unknown": 1},
    ],
)
async def test_nonsense_is_refused(shop, fields):
    body = {"amount": {"minor": 1, "currency": "UAH"}, "reference": "r", "return_url": "http://shop.test/"} | fields
    status, answer = await shop.call("POST", "/v1/payments", body)
    assert (status, answer["error"]["code"]) == (422, "invalid")


async def test_a_repeated_request_gets_the_first_answer(shop):
    first = await shop.open(key="same", reference="r1")
    assert (await shop.open(key="same", reference="r1"))["id"] == first["id"]
    status, answer = await shop.call(
        "POST",
        "/v1/payments",
        {"amount": {"minor": 1, "currency": "UAH"}, "reference": "r2", "return_url": "http://shop.test/back"},
        key="same",
    )
    assert (status, answer["error"]["code"]) == (422, "idempotency_key_reused")


async def test_a_repeated_refund_moves_money_once(shop):
    payment = await paid(shop)
    path = f"/v1/payments/{payment['id']}/refunds"
    answers = [await shop.call("POST", path, {"minor": 5000}, key="refund-1") for _ in range(3)]
    assert len({json.dumps(answer) for _, answer in answers}) == 1
    assert (await shop.show(payment))["refunded"] == 5000
    status, answer = await shop.call("POST", path, {"minor": 7501}, key="refund-2")
    assert (status, answer["error"]["code"]) == (409, "refund_exceeds_received")
    assert await shop.call("POST", path, {"minor": 7501}, key="refund-2") == (status, answer)


async def test_payments_keys_and_waiting_webhooks_survive_a_kill(http, tmp_path, catcher, webhook_url):
    with sandbox_process(tmp_path) as process:
        await process.ready(http)
        shop = Shop(http, process.url)
        catcher.refuse_next = 2
        payment = await paid(shop, key="k", reference="r", webhook_url=webhook_url)
        await eventually(lambda: catcher.refused)
        process.kill()
        process.start()
        await process.ready(http)
        assert (await shop.show(payment))["status"] == "received"
        again = await shop.open(key="k", reference="r", webhook_url=webhook_url)
        assert again["id"] == payment["id"]
        await eventually(lambda: catcher.kinds() == ["payment.received"], timeout=30)
        assert catcher.caught[0].headers["webhook-id"] == catcher.refused[0].headers["webhook-id"]


async def test_webhooks_are_signed_and_name_the_payment(shop, catcher, webhook_url):
    payment = await paid(shop, webhook_url=webhook_url)
    await eventually(lambda: catcher.caught)
    (caught,) = catcher.caught
    standard_webhooks.verify(caught.headers, caught.body, [SECRET])
    assert caught.event["data"] == {
        "payment": payment["id"],
        "reference": payment["reference"],
        "status": "received",
    }


async def test_webhooks_misbehave_on_demand(shop, catcher, webhook_url):
    await shop.call("POST", "/v1/behaviour", {"duplicate": 1, "seed": 7})
    await paid(shop, webhook_url=webhook_url)
    await eventually(lambda: len(catcher.caught) == 2)
    assert len({caught.headers["webhook-id"] for caught in catcher.caught}) == 1

    lost = await paid(shop, webhook_url=webhook_url, behaviour={"lose": 1})
    _, events = await shop.call("GET", f"/v1/payments/{lost['id']}/events")
    (event,) = events["items"]
    assert [delivery["state"] for delivery in event["deliveries"]] == ["lost"]
    status, _ = await shop.call("POST", f"/v1/events/{event['id']}/resend")
    assert status == 202
    await eventually(lambda: len(catcher.caught) == 3)


async def test_time_passes_by_itself(shop, catcher, webhook_url):
    held = await paid(shop, "hold_expires", webhook_url=webhook_url)
    assert (await shop.show(held))["status"] == "held"
    await eventually(lambda: catcher.kinds() == ["payment.held", "payment.expired"])
    late = await paid(shop, "refund_fails", webhook_url=webhook_url)
    _, refund = await shop.call("POST", f"/v1/payments/{late['id']}/refunds")
    assert refund["status"] == "pending"
    await eventually(lambda: "refund.failed" in catcher.kinds())
    assert (await shop.show(late))["refunds"][0]["reason"] == "account_closed"


async def test_an_open_page_expires(shop):
    payment = await shop.open(expires_in=0.2)

    async def expired() -> bool:
        return bool((await shop.show(payment))["status"] == "expired")

    await eventually(expired)
    status, page, _ = await shop.browse(payment["url"], {"card": "success"})
    assert status == 409
    assert "expired" in page
