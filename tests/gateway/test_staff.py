"""Staff accounts: who gives roles, one-time passwords, invitations, and several organisations (ROL-12, ROL-13)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from contracts.accounts import Role
from services.gateway.models import Account
from tests.gateway.conftest import PASSWORD, Gateway

HEAD = {"theatre": [Role.PROJECT_HEAD]}


@pytest.mark.shows("ROL-12", "ROL-13", "ROL-15")
@pytest.mark.parametrize("giver", [Role.PROJECT_HEAD, Role.SUPPORT])
async def test_staff_get_a_one_time_password_and_must_change_it(gateway: Gateway, giver: Role) -> None:
    head = await gateway.signed_in(f"{giver.value}@set-up.example", roles={"theatre": [giver]})
    new = {"email": f"manager.of.{giver.value}@theatre.example", "name": "Ірина", "roles": ["sales_manager"]}
    themselves, _ = await gateway.opened(f"own.{giver.value}@example.com", name="Сама")
    assert (await themselves.ask("GET", "/auth/me"))[1]["roles"] == [], "who registers alone is a buyer"
    status, made = await head.ask("POST", "/accounts", json=new)
    assert (status, made["roles"], made["invitation_code"]) == (201, ["sales_manager"], None)
    manager = gateway.browser()
    status, body = await manager.sign_in(new["email"], made["one_time_password"])
    assert (status, body["password_change_required"]) == (200, True)
    assert (await manager.ask("GET", "/auth/me"))[1]["roles"] == [], "nothing opens before the change"
    for method, path in (
        ("POST", "/auth/api-keys"),
        ("PATCH", "/auth/me"),
        ("GET", "/auth/sessions"),
        ("GET", "/api/orders/my-orders"),
        ("POST", "/api/ticketing/x"),
    ):
        status, problem = await manager.ask(method, path, json={"name": "k"})
        assert (status, problem["type"]) == (403, "/problems/password-change-needed"), path
    changed = {"current": made["one_time_password"], "new": PASSWORD}
    assert (await manager.ask("POST", "/auth/password", json=changed))[0] == 204
    _, me = await manager.ask("GET", "/auth/me")
    assert (me["roles"], me["password_change_required"]) == (["sales_manager"], False)
    assert (await gateway.browser().sign_in(new["email"], made["one_time_password"]))[0] == 401
    assert new["email"] in [one["email"] for one in (await head.ask("GET", "/accounts"))[1]["items"]]


async def test_managers_cannot_make_accounts(gateway: Gateway) -> None:
    manager = await gateway.signed_in("no-head@theatre.example", roles={"theatre": [Role.SALES_MANAGER]})
    new = {"email": "friend@theatre.example", "name": "F", "roles": ["sales_manager"]}
    assert (await manager.ask("POST", "/accounts", json=new))[0] == 403
    assert (await manager.ask("GET", "/accounts"))[0] == 403


async def test_support_gives_no_leading_roles(gateway: Gateway) -> None:
    support = await gateway.signed_in("support@theatre.example", roles={"theatre": [Role.SUPPORT]})
    new = {"email": "boss@theatre.example", "name": "B", "roles": ["project_head"]}
    status, problem = await support.ask("POST", "/accounts", json=new)
    assert (status, problem["type"]) == (403, "/problems/roles-refused")
    head = await gateway.account("real-head@theatre.example", roles=HEAD)
    for method, path, body in (
        ("PUT", "roles", {"roles": ["ticket_desk"]}),
        ("POST", "one-time-password", None),
    ):
        answer = await support.ask(method, f"/accounts/{head.id}/{path}", json=body, headers={"If-Match": '"v1"'})
        assert answer[0] == 403
    assert (await support.ask("DELETE", f"/accounts/{head.id}"))[0] == 403


async def test_a_person_with_an_account_confirms_with_a_code(gateway: Gateway) -> None:
    head = await gateway.signed_in("inviting@theatre.example", roles=HEAD)
    person = await gateway.signed_in("person@example.com")
    new = {"email": "person@example.com", "name": "Somebody", "roles": ["ticket_desk"]}
    status, made = await head.ask("POST", "/accounts", json=new)
    assert (status, made["one_time_password"], made["confirmed"]) == (201, None, False)
    assert made["name"] == "Somebody", "what the platform knows of the person stays theirs"
    assert (await person.ask("GET", "/auth/me"))[1]["roles"] == []
    assert (await person.ask("POST", "/auth/invitations/accept", json={"code": "guess"}))[0] == 404
    stranger = await gateway.signed_in("not-invited@example.com")
    code = {"code": made["invitation_code"]}
    assert (await stranger.ask("POST", "/auth/invitations/accept", json=code))[0] == 404
    assert (await person.ask("POST", "/auth/invitations/accept", json=code))[0] == 200
    assert (await person.ask("GET", "/auth/me"))[1]["roles"] == ["ticket_desk"]
    assert (await head.ask("POST", "/accounts", json=new))[0] == 409


async def test_roles_change_and_end_at_once(gateway: Gateway) -> None:
    head = await gateway.signed_in("changing@theatre.example", roles=HEAD)
    desk = await gateway.signed_in("desk@theatre.example", roles={"theatre": [Role.TICKET_DESK]})
    desk_id = (await desk.ask("GET", "/auth/me"))[1]["account"]["id"]
    new = {"roles": ["storekeeper", "organizer"]}
    roles, seen = f"/accounts/{desk_id}/roles", {"If-Match": '"v1"'}
    assert (await head.ask("PUT", roles, json=new))[0] == 428
    status, changed = await head.ask("PUT", roles, json=new, headers=seen)
    assert (status, changed["version"]) == (200, 2)
    assert (await head.ask("PUT", roles, json=new, headers=seen))[0] == 412, "somebody else was quicker"
    listed = (await head.ask("GET", "/accounts"))[1]["items"]
    assert next(one["version"] for one in listed if one["id"] == desk_id) == 2
    assert (await desk.ask("GET", "/auth/me"))[1]["roles"] == ["organizer", "storekeeper"]
    assert (await head.ask("DELETE", f"/accounts/{desk_id}"))[0] == 204
    assert (await desk.ask("GET", "/auth/me"))[1]["roles"] == []
    other = await gateway.signed_in("head@school.example", roles={"school": [Role.PROJECT_HEAD]})
    head_id = (await head.ask("GET", "/auth/me"))[1]["account"]["id"]
    assert (await other.ask("PUT", f"/accounts/{head_id}/roles", json=new, headers=seen))[0] == 404, (
        "another organisation's"
    )
    assert (await head.ask("DELETE", f"/accounts/{head_id}"))[0] == 409, "oneself"


async def test_a_lost_password_is_replaced_unless_the_account_is_shared(gateway: Gateway) -> None:
    head = await gateway.signed_in("resetting@theatre.example", roles=HEAD)
    new = {"email": "lost@theatre.example", "name": "Lost", "roles": ["ticket_desk"]}
    made = (await head.ask("POST", "/accounts", json=new))[1]
    desk = gateway.browser()
    await desk.sign_in(new["email"], made["one_time_password"])
    await desk.ask("POST", "/auth/password", json={"current": made["one_time_password"], "new": PASSWORD})
    status, body = await head.ask("POST", f"/accounts/{made['id']}/one-time-password")
    assert status == 201
    assert (await desk.ask("GET", "/auth/me"))[0] == 401, "old sessions are over"
    assert (await desk.sign_in("lost@theatre.example", body["one_time_password"]))[0] == 200
    both = await gateway.account("both@example.com", roles={"theatre": [Role.TICKET_DESK], "school": [Role.SUPPORT]})
    status, problem = await head.ask("POST", f"/accounts/{both.id}/one-time-password")
    assert (status, problem["type"]) == (409, "/problems/shared-account")


async def test_an_organisation_does_not_get_into_the_account_of_a_buyer_who_joined_it(gateway: Gateway) -> None:
    head = await gateway.signed_in("nosy@theatre.example", roles=HEAD)
    buyer = await gateway.signed_in("joined@example.com")
    new = {"email": "joined@example.com", "name": "B", "roles": ["ticket_desk"]}
    made = (await head.ask("POST", "/accounts", json=new))[1]
    accepted = await buyer.ask("POST", "/auth/invitations/accept", json={"code": made["invitation_code"]})
    assert accepted[0] == 200
    status, problem = await head.ask("POST", f"/accounts/{made['id']}/one-time-password")
    assert (status, problem["type"]) == (409, "/problems/shared-account")
    assert (await buyer.ask("GET", "/auth/me"))[0] == 200, "still signed in"


async def test_who_left_an_organisation_and_comes_back_is_their_own(gateway: Gateway) -> None:
    head = await gateway.signed_in("leaving@theatre.example", roles=HEAD)
    new = {"email": "leaver@theatre.example", "name": "L", "roles": ["ticket_desk"]}
    made = (await head.ask("POST", "/accounts", json=new))[1]
    assert (await head.ask("DELETE", f"/accounts/{made['id']}"))[0] == 204
    code = (await head.ask("POST", "/accounts", json=new))[1]["invitation_code"]
    leaver = gateway.browser()
    await leaver.sign_in(new["email"], made["one_time_password"])
    await leaver.ask("POST", "/auth/password", json={"current": made["one_time_password"], "new": PASSWORD})
    assert (await leaver.ask("POST", "/auth/invitations/accept", json={"code": code}))[0] == 200
    assert (await head.ask("POST", f"/accounts/{made['id']}/one-time-password"))[0] == 409


async def test_an_expired_one_time_password_opens_nothing(gateway: Gateway) -> None:
    await gateway.account("late@theatre.example", one_time=True)
    async with gateway.app.state.db.as_worker() as session:
        change = update(Account).where(Account.email_key == "late@theatre.example")
        await session.execute(change.values(password_expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    status, problem = await gateway.browser().sign_in("late@theatre.example")
    assert (status, problem["type"]) == (401, "/problems/password-expired")


async def test_each_organisation_has_its_own_back_office(gateway: Gateway) -> None:
    person = await gateway.signed_in(
        "works-twice@example.com", roles={"theatre": [Role.TICKET_DESK], "school": [Role.SCHOOL_STAFF]}
    )
    _, nowhere = await person.ask("GET", "/auth/me")
    assert (nowhere["organisation"], nowhere["roles"], len(nowhere["memberships"])) == (None, [], 2)
    school = await gateway.organisation("school")
    for name in ("school", str(school.id)):
        _, there = await person.ask("GET", "/auth/me", headers={"X-Organisation": name})
        assert (there["organisation"], there["roles"]) == (str(school.id), ["school_staff"])
    status, problem = await person.ask("GET", "/auth/me", headers={"X-Organisation": "opera"})
    assert (status, problem["type"]) == (403, "/problems/not-a-member")
    _, shown = await person.ask("GET", "/organisation", headers={"X-Organisation": "school"})
    assert shown["slug"] == "school"
