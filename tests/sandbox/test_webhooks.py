"""What becomes of events under any behaviour, in simulated time: nothing is lost unless it was to be."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.behaviour import REORDER_SECONDS, Behaviour, decide_fate
from deploy.sandbox.payments import Amount, Payment
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.signing import signature_of
from deploy.sandbox.store import Store
from deploy.sandbox.webhooks import Courier, emit
from services.orders.payments.providers import standard_webhooks

SETTINGS = SandboxSettings(webhook_attempts=8, webhook_first_retry=1, webhook_longest_retry=20)
SECRET = SETTINGS.webhook_secret.get_secret_value()
share = st.floats(0, 1)
behaviours = st.builds(
    Behaviour,
    duplicate=share,
    lose=share,
    reorder=share,
    late=share,
    delay_seconds=st.floats(0, 60),
    seed=st.integers(0, 2**32),
)


def test_signatures_are_those_of_the_specification():
    """The example of the Standard Webhooks documentation."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    message, at = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature_of(secret, message, at, body) == expected
    headers = {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": expected}
    assert standard_webhooks.verify(headers, body, [secret], now=at) == message


@given(behaviours, st.integers(0, 1000))
def test_a_seed_decides_every_fate(behaviour, number):
    assert decide_fate(behaviour, number) == decide_fate(behaviour, number)


@given(behaviours, st.integers(0, 1000))
def test_fates_keep_their_bounds(behaviour, number):
    fate = decide_fate(behaviour, number)
    assert len(fate.delays) <= 2
    latest = max(behaviour.delay_seconds, REORDER_SECONDS if fate.held_back else 0) + 0.5
    assert all(0 <= delay <= latest for delay in fate.delays)


@given(st.integers(0, 2**32), st.integers(0, 1000))
def test_certainties_are_certain(seed, number):
    assert decide_fate(Behaviour(seed=seed), number).delays == (0.0,)
    assert decide_fate(Behaviour(seed=seed, lose=1, duplicate=1), number).delays == ()
    assert len(decide_fate(Behaviour(seed=seed, duplicate=1), number).delays) == 2
    assert decide_fate(Behaviour(seed=seed, reorder=1), number).held_back


def test_probabilities_are_kept_on_average():
    fates = [decide_fate(Behaviour(lose=0.3, duplicate=0.5, seed=1), number) for number in range(2000)]
    copies = Counter(len(fate.delays) for fate in fates)
    assert 500 < copies[0] < 700
    assert 600 < copies[2] < 800


class World:
    """A sandbox and a shop in simulated time; the shop fails as often as told."""

    def __init__(self, failing: float, seed: int) -> None:
        self.store = Store(None)
        self.now = 1_000_000.0
        self.arrived: list[tuple[str, str]] = []
        self.accepted: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._failing = failing
        self.courier = Courier(self.store, SETTINGS, self._receive)

    async def _receive(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[bool, str]:
        assert standard_webhooks.verify(headers, body, [SECRET], now=self.now) == headers["webhook-id"]
        self.arrived.append((headers["webhook-id"], json.loads(body)["type"]))
        if self._chance.random() < self._failing:
            return False, "503"
        self.accepted[headers["webhook-id"]] += 1
        return True, "200"

    def payment(self, behaviour: Behaviour) -> Payment:
        amount = Amount(minor=1, currency="UAH")
        payment = Payment(
            id="pay_1",
            reference="r",
            amount=amount,
            return_url="http://shop.test/",
            webhook_url="http://shop.test/hook",
            created_at=self.now,
            due_at=None,
            behaviour=behaviour,
        )
        self.store.save(payment)
        return payment

    async def run_dry(self) -> None:
        while (due := self.store.next_due()) is not None:
            self.now = max(self.now, due)
            await asyncio.gather(*self.courier.step(self.now))


@settings(deadline=None, max_examples=60)
@given(behaviours, st.integers(1, 8), st.floats(0, 0.4), st.integers(0, 99), st.lists(st.floats(0, 5), min_size=8))
def test_every_event_arrives_unless_it_was_to_be_lost(behaviour, events, failing, seed, gaps):
    world = World(failing, seed)
    payment = world.payment(behaviour)

    async def play() -> list[str]:
        ids = []
        for number in range(events):
            ids.append(emit(world.store, payment, f"payment.n{number}", world.now))
            world.now += gaps[number]
        await world.run_dry()
        return ids

    ids = asyncio.run(play())
    for number, event_id in enumerate(ids):
        copies = len(decide_fate(behaviour, number).delays)
        gave_up = sum(
            delivery["state"] == "gave_up"
            for event in world.store.events_of(payment.id)
            if event["id"] == event_id
            for delivery in event["deliveries"]  # type: ignore[attr-defined]
        )
        assert world.accepted[event_id] == copies - gave_up
    world.store.close()


def test_a_reordered_event_leaves_after_the_next_one():
    world = World(failing=0, seed=0)
    first = emit(world.store, world.payment(Behaviour(reorder=1)), "payment.held", world.now)
    second = emit(world.store, world.payment(Behaviour()), "payment.received", world.now)
    asyncio.run(world.run_dry())
    assert [event_id for event_id, _ in world.arrived] == [second, first]


def test_a_reordered_event_without_a_next_one_is_only_late():
    world = World(failing=0, seed=0)
    started = world.now
    emit(world.store, world.payment(Behaviour(reorder=1)), "payment.received", world.now)
    asyncio.run(world.run_dry())
    assert len(world.arrived) == 1
    assert world.now - started == REORDER_SECONDS


def test_a_shop_that_never_answers_is_given_up():
    world = World(failing=1, seed=0)
    emit(world.store, world.payment(Behaviour()), "payment.received", world.now)
    asyncio.run(world.run_dry())
    assert len(world.arrived) == SETTINGS.webhook_attempts
    (event,) = world.store.events_of("pay_1")
    assert event["deliveries"][0]["state"] == "gave_up"  # type: ignore[index]
