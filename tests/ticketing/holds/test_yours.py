"""Whoever holds a seat already is told so, in another tab too (TKT-15)."""

from __future__ import annotations

from uuid import UUID, uuid4

from pydantic import SecretStr
from uuid_utils.compat import uuid7

from services.ticketing.holds.tokens import HoldTokens


async def test_the_refusal_and_the_seat_map_say_which_seats_are_yours(theatre, tokens):
    show, account = await theatre.show(), uuid4()
    mine = tokens.buyer(account)
    hold = (await theatre.hold(show, "1-1", "1-2", token=mine)).body
    assert (await theatre.hold(show, "1-3", token=tokens.buyer(uuid4()))).status == 201
    path = f"/shows/{show['show_id']}"

    again = await theatre.hold(show, "1-1", "1-3", "1-4", token=mine)
    assert (again.status, again.body["seats"], again.body["yours"]) == (409, ["1-1", "1-3"], ["1-1"])
    assert "You hold" in again.body["detail"]
    only_mine = await theatre.hold(show, "1-2", token=mine)
    assert "Somebody else" not in only_mine.body["detail"]
    body = {"hold_id": str(uuid7()), "seats": ["1-2"]}
    by_token = {"Hold-Token": hold["token"]}
    told = await theatre.call("POST", f"{path}/holds", body, role=None, headers=by_token)
    assert (told.status, told.body["yours"]) == (409, ["1-2"])
    for other in ({"Hold-Token": "x"}, {"Hold-Token": hold["token"][:-1] + "é"}, {}):
        told = await theatre.call("POST", f"{path}/holds", body, role=None, headers=other)
        assert (told.status, told.body["yours"]) == (409, [])

    seen = await theatre.call("GET", f"{path}/seats", role=None, headers=by_token)
    signed_in = await theatre.call("GET", f"{path}/seats?format=compact", role=None, token=mine)
    assert seen.body["yours"] == signed_in.body["yours"] == ["1-1", "1-2"]
    assert "private" in seen.headers["Cache-Control"]
    unchanged = await theatre.call(
        "GET", f"{path}/seats", role=None, headers={**by_token, "If-None-Match": seen.headers["ETag"]}
    )
    assert unchanged.status == 304
    others = await theatre.call("GET", f"{path}/seats", role=None, token=tokens.buyer(uuid4()))
    assert others.body["yours"] == []
    assert others.headers["ETag"] != seen.headers["ETag"]
    nobody = await theatre.call("GET", f"{path}/seats", role=None)
    assert "yours" not in nobody.body


def test_a_token_says_which_hold_it_opens_and_cannot_be_made():
    tokens, others = HoldTokens(SecretStr("a" * 32)), HoldTokens(SecretStr("b" * 32))
    hold = uuid7()
    token = tokens.of(str(hold))
    assert tokens.hold_of(token) == UUID(str(hold))
    assert tokens.opens(token, UUID(str(hold)))
    for wrong in (others.of(str(hold)), token[:-1], "B" + token[1:], "", "é", "A" * 40, "A" * 400):
        assert tokens.hold_of(wrong) is None
