"""Seating plans: what is accepted, what is refused and how it is said. Pure."""

from __future__ import annotations

import copy
import unicodedata
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ticketing.errors import SeatingPlanRefused
from services.ticketing.halls import plan as plans
from services.ticketing.halls.places import places
from tests.ticketing.plans import plan, two_categories

FOLDER = Path(__file__).parents[3].parent / "shared" / "seating-plans"
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""What turns the direction of the text around it."""


def refused(document: Any) -> SeatingPlanRefused:
    with pytest.raises(SeatingPlanRefused) as error:
        plans.read(orjson.dumps(document))
    return error.value


def test_everything_that_the_format_has_is_accepted_and_kept():
    document = two_categories()
    document["zones"][0] |= {"zone_id": "z", "uuid": "u"}
    document["zones"][0]["rows"][0] |= {"row_number_position": "both", "uuid": "r", "row_label": None}
    document["zones"][0]["rows"][0]["seats"][0] |= {"uuid": "s", "start_direction": "<>", "radius": 9}
    del document["categories"][0]["color"]
    del document["zones"][1]["name"]
    checked = plans.read(orjson.dumps(document))
    assert orjson.loads(checked.document) == document
    assert (checked.seats, checked.name) == (30, "Мала сцена")


def test_plans_of_the_first_version_are_accepted():
    document = plan()
    del document["size"]
    zone = document["zones"][0]
    zone["displayed"] = True
    zone["rows"][0] |= {"number_of_seats": 10, "seats_spacing": 25}
    zone["areas"] = [{"width": 90, "height": 40, "position": {"x": 1, "y": 2}, "text": "Сцена"}]
    assert orjson.loads(plans.read(orjson.dumps(document)).document) == document


def test_drawing_may_be_as_odd_as_it_likes():
    document = plan()
    document["size"] = {"width": -1, "height": 0}
    document["zones"][0]["areas"] = [{}, {"shape": "text"}, {"circle": {"radius": -3}}]
    document["zones"][0]["rows"][0]["seats"][0] |= {"radius": -2, "position": {"x": 1e300, "y": -0.5}}
    document["zones"].append({"position": {"x": 0, "y": 0}, "rows": [{"row_number": "", "seats": []}]})
    assert plans.read(orjson.dumps(document)).seats == 20


def test_several_faults_are_said_in_one_sentence():
    document = plan()
    for seat in document["zones"][0]["rows"][0]["seats"][:5]:
        seat["seat_guid"] = 7
    said = refused(document).detail
    assert said.count("valid string") == 3
    assert said.endswith("; and 2 more.")


@pytest.mark.parametrize(
    ("path", "value", "where", "problem"),
    [
        (("zones", 0, "rows", 0, "seats", 0, "hidden"), True, "zones[0].rows[0].seats[0].hidden", "no such property"),
        (("author",), "me", "author", "no such property"),
        (
            ("zones", 0, "rows", 0, "seats", 0, "seat_number"),
            7,
            "zones[0].rows[0].seats[0].seat_number",
            "valid string",
        ),
        (("zones", 0, "position", "x"), "1", "zones[0].position.x", "valid number"),
        (("zones", 0, "position", "x"), True, "zones[0].position.x", "valid number"),
        (("zones", 0, "areas"), [{"shape": "heart"}], "zones[0].areas[0].shape", "'polygon'"),
        (("zones", 0, "rows", 1, "row_number_position"), "left", "zones[0].rows[1].row_number_position", "'start'"),
        (("zones", 0, "rows", 0, "seats", 0, "seat_guid"), "", "zones[0].rows[0].seats[0].seat_guid", "at least 1"),
        (("zones", 0, "rows", 0, "seats", 0, "seat_guid"), "a\x1fb", "zones[0].rows[0].seats[0].seat_guid", "control"),
        (("name",), "a\x00b", "name", "NUL"),
        (("zones", 0, "areas"), [{"text": {"text": 1}}], "zones[0].areas[0].text.text", "valid string"),
        (("size", "width"), None, "size.width", "valid number"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(path, value, where, problem):
    document: Any = plan()
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    error = refused(document)
    assert error.extra["errors"][0]["where"] == where
    assert problem in error.extra["errors"][0]["problem"]
    assert where in error.detail


@pytest.mark.parametrize("missing", ["name", "categories", "zones"])
def test_required_properties(missing):
    document = plan()
    del document[missing]
    assert refused(document).extra["errors"] == [{"where": missing, "problem": "is required"}]


def test_what_is_no_plan_at_all():
    for raw in (b"", b"{", b"[]", b"null", b'"x"', b"NaN", b"\xff", b"[" * 2000):
        with pytest.raises(SeatingPlanRefused):
            plans.read(raw)
    assert "has no seats" in refused({**plan(), "zones": []}).detail


def test_unknown_categories_name_the_seats():
    document = plan()
    document["zones"][0]["rows"][0]["seats"][3]["category"] = "Ложа"
    error = refused(document)
    assert "category 'Ложа' of '1-4'" in error.detail
    assert "'Партер'" in error.detail
    assert error.extra["unknown_categories"] == [{"category": "Ложа", "seats": ["1-4"]}]


def test_a_million_faults_cost_no_more_than_some(monkeypatch):
    """Each `{}` lacks four properties: as many faults are looked at as are told, and a few."""
    said: list[str] = []
    say = plans._say

    def noted(kind: str, message: str) -> str:
        said.append(kind)
        return say(kind, message)

    monkeypatch.setattr(plans, "_say", noted)
    document = plan()
    document["zones"][0]["rows"][0]["seats"] = [{}] * 50_000
    error = refused(document)
    assert len(error.extra["errors"]) == plans.MAX_ERRORS
    assert error.detail.endswith("; and many more.")
    assert len(said) <= 4 * plans.AT_ONCE


@pytest.mark.parametrize(
    ("inner", "counted"),
    [
        (lambda many: {"zones": [{"rows": [{"seats": many}]}]}, "seats"),
        (lambda many: {"zones": [{"rows": many}]}, "zones, rows"),
        (lambda many: {"zones": [{"rows": [], "areas": many}]}, "areas"),
        (lambda many: {"zones": many}, "zones"),
        (lambda many: {"zones": [], "categories": many}, "categories"),
    ],
)
def test_masses_are_counted_before_they_are_looked_at(inner, counted, monkeypatch):
    monkeypatch.setattr(plans, "_faults", lambda *_: pytest.fail("they were looked at"))
    detail = refused(inner([{}] * 100_001)).detail
    assert counted in detail
    assert "at most 100000 are possible" in detail


def test_the_lists_of_a_refusal_are_short():
    document = plan(1, 120)
    for seat in document["zones"][0]["rows"][0]["seats"]:
        seat["category"] = seat["seat_guid"]
    assert len(refused(document).extra["unknown_categories"]) == plans.MAX_ERRORS
    for number, seat in enumerate(document["zones"][0]["rows"][0]["seats"]):
        seat["seat_guid"] = str(number // 2)
    assert len(refused(document).extra["duplicates"]) == plans.MAX_ERRORS


def test_too_many_seats(monkeypatch):
    monkeypatch.setattr(plans, "MAX_SEATS", 19)
    assert "at most 19" in refused(plan()).detail


def test_labels_are_read_as_the_plan_wants_them():
    found = {place.seat: place for place in places(orjson.dumps(two_categories()))}
    assert found["1-2"].label("uk") == "Партер, ряд 1, місце 2"
    assert found["1-2"].label("pl") == "Партер, rząd 1, miejsce 2"
    assert found["b1-3"].label("en") == "Balkon, Rząd 1, Miejsce 3"
    standing = plan(1, 1)
    standing["zones"][0]["rows"][0]["row_number"] = "-"
    assert next(places(orjson.dumps(standing))).label("ru") == "Партер, место 1"


seats = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=30)


@given(seats)
def test_a_plan_is_accepted_exactly_if_its_ids_are_distinct_and_printable(guids):
    document = plan(1, len(guids))
    for seat, guid in zip(document["zones"][0]["rows"][0]["seats"], guids, strict=True):
        seat["seat_guid"] = guid
    printable = not any(
        unicodedata.category(c) in {"Cc", "Zl", "Zp"} or unicodedata.bidirectional(c) in TURNING
        for guid in guids
        for c in guid
    )
    try:
        checked = plans.check(document)
    except SeatingPlanRefused as error:
        assert not printable or len(set(guids)) < len(guids)
        if printable:
            named = {entry["seat_guid"] for entry in error.extra["duplicates"]}
            assert named == {guid for guid in guids if guids.count(guid) > 1}
    else:
        assert printable
        assert len(set(guids)) == len(guids) == checked.seats
        assert orjson.loads(checked.document) == document


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_nothing_but_a_refusal_comes_of_nonsense(data):
    """Some part of a good plan is replaced by anything: it is accepted or refused, never an error of ours."""
    document: Any = copy.deepcopy(two_categories())
    inner: Any = document
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key = data.draw(st.sampled_from(keys))
        deeper = isinstance(inner[key], dict | list) and len(inner[key]) > 0
        if not deeper or data.draw(st.booleans()):
            inner[key] = data.draw(json)
            break
        inner = inner[key]
    try:
        checked = plans.check(document)
    except SeatingPlanRefused as error:
        said = error.detail
    else:
        said = "accepted"
        assert sum(1 for _ in places(checked.document)) == checked.seats
    assert said


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the plans of real halls are not part of the repository")
@pytest.mark.parametrize(
    ("name", "count"), [("ua-ubileinyi", 1594), ("ticketland-demo", 1115), ("stadium-16054", 16054)]
)
def test_real_halls(name, count):
    raw = (FOLDER / f"{name}.json").read_bytes()
    checked = plans.read(raw)
    assert checked.seats == count
    assert orjson.loads(checked.document) == orjson.loads(raw)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the plans of real halls are not part of the repository")
def test_a_real_hall_with_duplicate_ids_is_refused():
    with pytest.raises(SeatingPlanRefused) as error:
        plans.read((FOLDER / "seatmap-canvas-example-stadium.json").read_bytes())
    named = {entry["seat_guid"] for entry in error.value.extra["duplicates"]}
    assert len(named) == plans.MAX_ERRORS
    assert "occur more than once" in error.value.detail
