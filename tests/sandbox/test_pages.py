"""The card page as a buyer's browser meets it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from deploy.sandbox.cards import CARDS


async def test_the_page_shows_what_is_paid_and_the_test_cards(shop):
    payment = await shop.open(description="<b>Лісова пісня</b>", locale="uk-UA")
    status, page, _ = await shop.browse(payment["url"])
    assert status == 200
    assert '<html lang="uk">' in page
    assert "125,00\xa0₴" in page
    assert "&lt;b&gt;Лісова пісня" in page
    assert all(card.spaced in page for card in CARDS)


@pytest.mark.parametrize(
    ("currency", "minor", "shown"),
    [("JPY", 500, "¥500"), ("PLN", 12345, "PLN123.45"), ("KWD", 12340, "KWD12.340")],
)
async def test_amounts_are_written_with_the_digits_of_their_currency(shop, currency, minor, shown):
    payment = await shop.open(amount={"minor": minor, "currency": currency})
    _, page, _ = await shop.browse(payment["url"])
    assert shown in page


async def test_a_typed_card_pays_and_leads_back_to_the_shop(shop):
    payment = await shop.open()
    status, _, location = await shop.browse(payment["url"], {"number": "4242 4242 4242 4242"})
    assert (status, location) == (303, "http://shop.test/back")
    assert (await shop.show(payment))["status"] == "received"


async def test_a_declined_card_is_explained_and_another_one_may_be_tried(shop):
    payment = await shop.open()
    status, page, _ = await shop.browse(payment["url"], {"number": "4000000000000002"})
    assert status == 402
    assert "The bank declined the card." in page
    assert (await shop.show(payment))["status"] == "failed"
    status, _, _ = await shop.browse(payment["url"], {"number": "4242424242424242"})
    assert status == 303
    assert (await shop.show(payment))["status"] == "received"


@pytest.mark.parametrize("number", ["", "4242", "4242424242424241", "5555555555554444", "x" * 3000, "٤٢٤٢"])
async def test_other_numbers_are_refused_and_not_repeated(shop, number):
    payment = await shop.open()
    status, page, _ = await shop.browse(payment["url"], {"number": number})
    assert status == 422
    assert len(number) < 12 or number not in page
    assert (await shop.show(payment))["status"] == "open"


async def test_the_bank_may_ask_for_a_confirmation(shop):
    payment = await shop.open()
    status, _, location = await shop.browse(payment["url"], {"card": "confirm"})
    assert (status, location) == (303, f"/pay/{payment['id']}/confirm")
    status, page, _ = await shop.browse(shop.url + location)
    assert "Do you confirm the payment of UAH125.00?" in page
    status, page, _ = await shop.browse(shop.url + location, {"answer": "refuse"})
    assert status == 402
    await shop.browse(payment["url"], {"card": "confirm"})
    status, _, location = await shop.browse(f"{payment['url']}/confirm", {"answer": "approve"})
    assert (status, location) == (303, "http://shop.test/back")
    assert (await shop.show(payment))["status"] == "received"


async def test_of_two_buttons_pressed_at_once_one_pays(shop):
    payment = await shop.open()
    answers = await asyncio.gather(*(shop.browse(payment["url"], {"card": "success"}) for _ in range(8)))
    assert Counter(status for status, _, _ in answers) == {303: 1, 409: 7}
    assert (await shop.show(payment))["captured"] == 12500


async def test_a_cancelled_payment_cannot_be_paid(shop):
    payment = await shop.open()
    status, _, location = await shop.browse(payment["url"] + "/cancel", {})
    assert (status, location) == (303, "http://shop.test/back")
    status, page, _ = await shop.browse(payment["url"], {"card": "success"})
    assert status == 409
    assert "cancelled" in page


async def test_an_unknown_payment_has_a_page_too(shop):
    for path in ("", "/confirm", "/cancel"):
        status, page, _ = await shop.browse(f"{shop.url}/pay/nonsense{path}", {"card": "success"})
        assert status == 404
        assert "no such payment" in page


async def test_a_large_form_is_refused(shop):
    payment = await shop.open()
    status, _, _ = await shop.browse(payment["url"], {"number": "4" * 10_000})
    assert status == 413


async def test_pages_run_no_scripts_and_are_not_kept(shop):
    payment = await shop.open()
    async with shop.session.get(payment["url"]) as response:
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"
        assert "<script" not in await response.text()


async def test_the_number_is_neither_stored_nor_logged(shop, sandbox_server):
    payment = await shop.open()
    await shop.browse(payment["url"], {"number": "4000 0000 0000 9995"})
    await shop.browse(payment["url"], {"number": "4000000000005126"})
    folder = sandbox_server.log.parent
    kept = b"".join(file.read_bytes() for file in folder.iterdir())
    assert payment["id"].encode() in kept
    for trace in (b"4000000000009995", b"4000 0000 0000 9995", b"4000000000005126"):
        assert trace not in kept
