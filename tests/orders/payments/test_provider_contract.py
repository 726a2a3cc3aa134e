"""What every payment provider does, run against both adapters and their banks."""

from __future__ import annotations

import time
from typing import ClassVar
from uuid import uuid4

import pytest

from contracts.money import Money
from services.orders.payments.provider import (
    BadSignature,
    ProviderDisputeStatus,
    ProviderError,
    ProviderRefundStatus,
    ProviderStatus,
)
from tests.harness import eventually
from tests.orders.payments.banks import STRIPE_SECRET, Bank, asked, minutes_ago
from tests.sandbox.sandbox_process import SECRET


def uah(minor: int) -> Money:
    return Money(minor=minor, currency="UAH")


def key() -> str:
    return str(uuid4())


class TestPaying:
    async def test_a_started_payment_is_pending(self, bank: Bank):
        started = await bank.provider.start(asked(amount=uah(12500)))
        assert started.redirect_url.startswith("http")
        payment = await bank.provider.fetch(started.reference)
        assert payment.reference == started.reference
        assert payment.status is ProviderStatus.PENDING
        assert (payment.amount, payment.refunded, payment.refunds) == (uah(12500), uah(0), ())

    async def test_a_paid_one_is_received(self, bank: Bank):
        payment = await bank.paid(uah(9999))
        assert (payment.status, payment.amount, payment.reason) == (ProviderStatus.RECEIVED, uah(9999), None)

    @pytest.mark.parametrize(("minor", "currency"), [(500, "JPY"), (12340, "KWD"), (100, "RSD"), (99, "PLN")])
    async def test_amounts_keep_their_worth_in_every_currency(self, bank: Bank, minor, currency):
        amount = Money(minor=minor, currency=currency)
        payment = await bank.paid(amount)
        assert payment.amount == amount
        await bank.provider.refund(payment.reference, amount, key(), uuid4())
        assert (await bank.provider.fetch(payment.reference)).refunded == amount

    async def test_a_declined_one_has_failed_and_says_why(self, bank: Bank):
        started = await bank.provider.start(asked())
        await bank.decline(started)
        payment = await bank.provider.fetch(started.reference)
        assert payment.status is ProviderStatus.FAILED
        assert payment.reason

    async def test_after_a_decline_another_card_may_pay(self, bank: Bank):
        bank.needs("another card")
        started = await bank.provider.start(asked())
        await bank.decline(started)
        await bank.pay(started)
        assert (await bank.provider.fetch(started.reference)).status is ProviderStatus.RECEIVED

    @pytest.mark.parametrize(("approve", "status"), [(True, ProviderStatus.RECEIVED), (False, ProviderStatus.FAILED)])
    async def test_the_bank_may_ask_the_buyer(self, bank: Bank, approve, status):
        started = await bank.provider.start(asked())
        await bank.ask_buyer(started)
        assert (await bank.provider.fetch(started.reference)).status is ProviderStatus.PENDING
        await bank.answer(started, approve)
        assert (await bank.provider.fetch(started.reference)).status is status

    async def test_starting_again_with_the_key_is_the_same_payment(self, bank: Bank):
        bank.needs("idempotency")
        request = asked()
        assert await bank.provider.start(request) == await bank.provider.start(request)

    async def test_the_key_of_another_request_is_refused(self, bank: Bank):
        bank.needs("idempotency")
        await bank.provider.start(asked(key="taken"))
        with pytest.raises(ProviderError) as refused:
            await bank.provider.start(asked(key="taken"))
        assert not refused.value.retryable

    async def test_an_unknown_reference_is_an_error_for_good(self, bank: Bank):
        with pytest.raises(ProviderError) as refused:
            await bank.provider.fetch("pi_nonsense/../x?y")
        assert not refused.value.retryable


class TestHolding:
    async def test_held_money_is_captured(self, bank: Bank):
        held = await bank.held()
        assert (held.status, held.amount) == (ProviderStatus.HELD, uah(12500))
        received = await bank.provider.capture(held.reference, held.amount, key())
        assert (received.status, received.amount) == (ProviderStatus.RECEIVED, uah(12500))

    async def test_capturing_again_changes_nothing(self, bank: Bank):
        held = await bank.held()
        first = await bank.provider.capture(held.reference, held.amount, key())
        assert await bank.provider.capture(held.reference, held.amount, key()) == first

    async def test_a_part_is_captured_and_the_rest_let_go(self, bank: Bank):
        bank.needs("partial capture")
        held = await bank.held()
        received = await bank.provider.capture(held.reference, uah(10000), key())
        assert (received.status, received.amount, received.refunded) == (
            ProviderStatus.RECEIVED,
            uah(10000),
            uah(0),
        )

    async def test_more_than_held_is_not_captured(self, bank: Bank):
        held = await bank.held()
        with pytest.raises(ProviderError) as refused:
            await bank.provider.capture(held.reference, uah(12501), key())
        assert not refused.value.retryable
        assert (await bank.provider.fetch(held.reference)).status is ProviderStatus.HELD

    async def test_held_money_is_let_go(self, bank: Bank):
        held = await bank.held()
        cancelled = await bank.provider.cancel(held.reference, key())
        assert cancelled.status is ProviderStatus.CANCELLED
        with pytest.raises(ProviderError) as refused:
            await bank.provider.capture(held.reference, held.amount, key())
        assert not refused.value.retryable

    async def test_a_hold_may_lapse(self, bank: Bank):
        bank.needs("expiring holds")
        started = await bank.provider.start(asked())
        await bank.pay(started, "hold_expires")  # type: ignore[call-arg]

        async def lapsed():
            payment = await bank.provider.fetch(started.reference)
            return payment.status is ProviderStatus.CANCELLED and payment.reason == "hold_expired"

        await eventually(lapsed)


class TestCancelling:
    async def test_a_pending_payment_is_cancelled_as_often_as_asked(self, bank: Bank):
        started = await bank.provider.start(asked())
        for _ in range(2):
            assert (await bank.provider.cancel(started.reference, key())).status is ProviderStatus.CANCELLED

    async def test_a_received_one_is_answered_as_it_is(self, bank: Bank):
        payment = await bank.paid()
        assert await bank.provider.cancel(payment.reference, key()) == payment


class TestRefunding:
    async def test_parts_add_up_to_the_whole(self, bank: Bank):
        payment = await bank.paid(uah(10000))
        made = [await bank.provider.refund(payment.reference, uah(minor), key(), uuid4()) for minor in (3000, 7000)]
        assert [refund.status for refund in made] == [ProviderRefundStatus.DONE] * 2
        after = await bank.provider.fetch(payment.reference)
        assert (after.status, after.amount, after.refunded) == (ProviderStatus.RECEIVED, uah(10000), uah(10000))
        assert {refund.reference for refund in after.refunds} == {refund.reference for refund in made}

    async def test_more_than_received_is_refused(self, bank: Bank):
        bank.needs("over-refund")
        payment = await bank.paid(uah(10000))
        await bank.provider.refund(payment.reference, uah(6000), key(), uuid4())
        with pytest.raises(ProviderError) as refused:
            await bank.provider.refund(payment.reference, uah(4001), key(), uuid4())
        assert not refused.value.retryable
        assert (await bank.provider.fetch(payment.reference)).refunded == uah(6000)

    async def test_an_unpaid_payment_is_not_refunded(self, bank: Bank):
        started = await bank.provider.start(asked())
        with pytest.raises(ProviderError) as refused:
            await bank.provider.refund(started.reference, uah(1), key(), uuid4())
        assert not refused.value.retryable

    async def test_a_repeated_refund_moves_money_once(self, bank: Bank):
        bank.needs("idempotency")
        payment = await bank.paid(uah(10000))
        once = payment.reference, uah(3000), "once" + payment.reference, uuid4()
        first = await bank.provider.refund(*once)
        assert await bank.provider.refund(*once) == first
        assert (await bank.provider.fetch(payment.reference)).refunded == uah(3000)

    @pytest.mark.parametrize(
        ("card", "status"), [("refund_later", ProviderRefundStatus.DONE), ("refund_fails", ProviderRefundStatus.FAILED)]
    )
    async def test_a_pending_refund_is_followed_by_fetch(self, bank: Bank, card, status):
        bank.needs("pending refunds")
        started = await bank.provider.start(asked(amount=uah(10000)))
        await bank.pay(started, card)  # type: ignore[call-arg]
        refund = await bank.provider.refund(started.reference, uah(10000), key(), uuid4())
        assert refund.status is ProviderRefundStatus.PENDING

        async def settled():
            payment = await bank.provider.fetch(started.reference)
            assert [found.status for found in payment.refunds] == [status]
            return payment

        payment = await eventually(settled)
        assert payment.refunded == (uah(10000) if status is ProviderRefundStatus.DONE else uah(0))


class TestOthers:
    """What people at the bank, and buyers, do without the shop."""

    async def test_a_refund_of_the_dashboard_is_told_as_nobodys_of_ours(self, bank: Bank):
        payment = await bank.paid(uah(10000))
        refund_id = uuid4()
        await bank.provider.refund(payment.reference, uah(1000), key(), refund_id)
        await bank.refund_at_dashboard(payment.reference, 2500)
        after = await bank.provider.fetch(payment.reference)
        told = {refund.refund_id: (refund.amount, refund.status) for refund in after.refunds}
        assert told == {
            refund_id: (uah(1000), ProviderRefundStatus.DONE),
            None: (uah(2500), ProviderRefundStatus.DONE),
        }

    @pytest.mark.parametrize("won", [True, False])
    async def test_a_dispute_is_open_and_then_decided(self, bank: Bank, won):
        bank.needs("disputes")
        payment = await bank.paid(uah(10000))
        dispute = await bank.dispute(payment.reference)  # type: ignore[attr-defined]
        (told,) = (await bank.provider.fetch(payment.reference)).disputes
        assert (told.status, told.amount, told.reason) == (ProviderDisputeStatus.OPEN, uah(10000), "fraudulent")
        with pytest.raises(ProviderError) as refused:
            await bank.provider.refund(payment.reference, uah(1), key(), uuid4())
        assert not refused.value.retryable
        await bank.decide(payment.reference, dispute, won)  # type: ignore[attr-defined]
        (told,) = (await bank.provider.fetch(payment.reference)).disputes
        assert told.status is (ProviderDisputeStatus.WON if won else ProviderDisputeStatus.LOST)

    async def test_a_refund_fails_days_after_it_was_done(self, bank: Bank):
        bank.needs("pending refunds")
        payment = await bank.paid(uah(10000))
        made = await bank.provider.refund(payment.reference, uah(10000), key(), uuid4())
        await bank.fail_refund(payment.reference, made.reference)  # type: ignore[attr-defined]
        after = await bank.provider.fetch(payment.reference)
        assert [(r.status, r.final) for r in after.refunds] == [(ProviderRefundStatus.FAILED, True)]
        assert after.refunded == uah(0)


class TestWebhooks:
    """`SECRETS` are those that the banks of the tests sign with."""

    SECRETS: ClassVar = {"sandbox": SECRET, "stripe": STRIPE_SECRET}

    async def caught(self, bank: Bank, catcher, webhook_url):
        await bank.send_webhooks_to(webhook_url)
        payment_id = uuid4()
        started = await bank.provider.start(asked(payment_id, webhook_url=webhook_url))
        await bank.pay(started)
        # A bank that the tests share may still be telling of an earlier payment.
        about = started.reference.encode()
        caught = await eventually(lambda: [one for one in catcher.caught if about in one.body])
        return payment_id, started.reference, caught[0]

    async def test_the_bank_tells_what_happened(self, bank: Bank, catcher, webhook_url):
        payment_id, reference, caught = await self.caught(bank, catcher, webhook_url)
        (event,) = bank.provider.parse_webhook(caught.headers, caught.body)
        assert (event.reference, event.payment_id) == (reference, payment_id)
        assert event.kind in ("payment.received", "payment_intent.succeeded")
        assert event.id

    async def test_the_same_event_keeps_its_id(self, bank: Bank, catcher, webhook_url):
        _, _, caught = await self.caught(bank, catcher, webhook_url)
        headers = {name.title(): value for name, value in caught.headers.items()}
        assert bank.provider.parse_webhook(headers, caught.body) == bank.provider.parse_webhook(
            caught.headers, caught.body
        )

    async def test_a_changed_body_is_refused(self, bank: Bank, catcher, webhook_url):
        _, _, caught = await self.caught(bank, catcher, webhook_url)
        for body in (
            caught.body.replace(b"succeeded", b"failed").replace(b"received", b"failed"),
            caught.body + b" ",
            b"",
        ):
            with pytest.raises(BadSignature):
                bank.provider.parse_webhook(caught.headers, body)

    async def test_a_foreign_or_missing_signature_is_refused(self, bank: Bank):
        body = b'{"object": "event", "id": "evt_1", "type": "x", "data": {"object": {}}}'
        foreign = bank.sign(body, "whsec_Zm9yZWlnbi1zZWNyZXQtb2YtMzItYnl0ZXM=", time.time())
        garbage = dict.fromkeys(foreign, "ж,v1,t=x,,v1=")
        for headers in (foreign, garbage, dict.fromkeys(foreign, ""), {}):
            with pytest.raises(BadSignature):
                bank.provider.parse_webhook(headers, body)

    async def test_an_old_one_is_not_replayed(self, bank: Bank):
        body = b'{"object": "event", "id": "evt_1", "type": "x", "data": {"object": {}}}'
        secret = self.SECRETS[bank.name]
        assert bank.provider.parse_webhook(bank.sign(body, secret, minutes_ago(4)), body) == []
        with pytest.raises(BadSignature):
            bank.provider.parse_webhook(bank.sign(body, secret, minutes_ago(6)), body)

    async def test_while_a_secret_is_changed_both_are_good(self, bank: Bank):
        old, new = self.SECRETS[bank.name], "whsec_bmV3LXNlY3JldC1vZi0zMi1ieXRlcyEhISEhISE="
        provider = bank.with_secrets(new, old)
        body = b'{"object": "event", "id": "evt_1", "type": "x", "data": {"object": {}}}'
        for secret in (old, new):
            assert provider.parse_webhook(bank.sign(body, secret, time.time()), body) == []
        await provider.aclose()

    async def test_without_a_secret_nothing_is_believed(self, bank: Bank):
        provider = bank.with_secrets("")
        body = b'{"object": "event", "id": "evt_1", "type": "x", "data": {"object": {}}}'
        with pytest.raises(BadSignature):
            provider.parse_webhook(bank.sign(body, "", time.time()), body)
        await provider.aclose()

    async def test_holds_cancellations_and_refunds_are_told_too(self, bank: Bank, catcher, webhook_url):
        bank.needs("all events")
        started = await bank.holding.start(asked(webhook_url=webhook_url))
        await bank.pay(started)
        await bank.provider.capture(started.reference, uah(12500), key())
        await bank.provider.refund(started.reference, uah(1), key(), uuid4())
        other = await bank.provider.start(asked(webhook_url=webhook_url))
        await bank.provider.cancel(other.reference, key())
        await eventually(lambda: len(catcher.caught) == 4)
        events = [event for each in catcher.caught for event in bank.provider.parse_webhook(each.headers, each.body)]
        assert sorted(event.kind for event in events) == [
            "payment.cancelled",
            "payment.held",
            "payment.received",
            "refund.done",
        ]
