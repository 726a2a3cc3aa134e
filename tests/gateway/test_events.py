"""What the platform learns of organisations and accounts, on Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer

from contracts.accounts import (
    AccountChanged,
    AccountRegistered,
    AccountState,
    OrganisationChanged,
    OrganisationRegistered,
    Role,
)
from contracts.envelope import Event, EventData, decode
from tests.gateway.conftest import PASSWORD, Gateway
from tests.harness import Kafka, eventually

Read = Callable[[UUID], list[Event[EventData]]]


@pytest.fixture
async def events(kafka: Kafka) -> AsyncIterator[Callable[..., object]]:
    """Waits for the events of one organisation or account."""
    consumer = AIOKafkaConsumer(
        "accounts.account",
        "accounts.organisation",
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    seen: list[Event[EventData]] = []

    async def of(key: UUID, count: int) -> list[Event[EventData]]:
        async def enough() -> list[Event[EventData]]:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                seen.extend(decode(record.headers, record.value) for record in records)
            mine = [event for event in seen if event.data.key() == key]
            return mine if len(mine) >= count else []

        return await eventually(enough)

    yield of
    await consumer.stop()


async def test_accounts_are_told_in_order(gateway: Gateway, events: Callable[..., object]) -> None:
    browser, body = await gateway.opened("told@example.com", password=PASSWORD, name="Told", phone="+48 600 000 000")
    assert (await browser.ask("PATCH", "/auth/me", json={"name": "Told Twice", "locale": "pl"}))[0] == 200
    head = await gateway.signed_in("telling@theatre.example", roles={"theatre": [Role.PROJECT_HEAD]})
    staff = {"email": "told@example.com", "name": "T", "roles": ["ticket_desk"]}
    _, made = await head.ask("POST", "/accounts", json=staff)
    code = {"code": made["invitation_code"]}
    assert (await browser.ask("POST", "/auth/invitations/accept", json=code))[0] == 200
    account_id = UUID(body["account"]["id"])
    told = await events(account_id, 4)  # type: ignore[misc]
    assert [type(event.data) for event in told] == [AccountRegistered, *[AccountChanged] * 3]
    assert [event.aggregate_version for event in told] == [1, 2, 3, 4]
    states = [event.data for event in told]
    assert all(isinstance(state, AccountState) for state in states)
    assert (states[0].name, states[1].name, states[1].locale) == ("Told", "Told Twice", "pl")
    assert states[2].memberships == (), "an invitation is no membership"
    assert [membership.roles for membership in states[3].memberships] == [(Role.TICKET_DESK,)]
    assert all(event.organisation is None for event in told)
    assert all(event.correlation_id for event in told), "the request id goes along"
    assert PASSWORD not in str(told)


async def test_organisations_are_told(gateway: Gateway, events: Callable[..., object]) -> None:
    organisation = await gateway.organisation("opera")
    head = await gateway.signed_in("head@opera.example", roles={"opera": [Role.PROJECT_HEAD]})
    change, seen = (
        {"name": "Опера", "staff_email": "new@opera.example", "staff_phone": "+380441234567"},
        {"If-Match": '"v1"'},
    )
    assert (await head.ask("PATCH", "/organisation", json=change))[0] == 428
    status, changed = await head.ask("PATCH", "/organisation", json=change, headers=seen)
    assert (status, changed["name"]) == (200, "Опера")
    assert (await head.ask("PATCH", "/organisation", json=change, headers=seen))[0] == 412
    removed = {"staff_phone": None, "staff_email": None}
    assert (await head.ask("PATCH", "/organisation", json=removed, headers={"If-Match": '"v2"'}))[0] == 200
    told = await events(organisation.id, 3)  # type: ignore[misc]
    assert [type(event.data) for event in told] == [OrganisationRegistered, OrganisationChanged, OrganisationChanged]
    assert [event.data.staff_email for event in told[1:]] == ["new@opera.example"] * 2, "it cannot be removed"
    assert [event.data.staff_phone for event in told[1:]] == ["+380441234567", None]
    assert {event.organisation for event in told} == {organisation.id}
    desk = await gateway.signed_in("desk@opera.example", roles={"opera": [Role.TICKET_DESK]})
    assert (await desk.ask("PATCH", "/organisation", json={"name": "Mine"}, headers=seen))[0] == 403
