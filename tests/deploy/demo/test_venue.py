"""The plan that somebody brings: what is read, what is refused in words, and its price zones."""

from __future__ import annotations

import json

import pytest

from deploy.demo.venue import PRICES, ZONES, PlanRefused, price_zones, read_plan


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_plan_may_be_in_any_encoding_of_json(tmp_path, encoding):
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"name": "Зал"}, ensure_ascii=False), encoding)
    assert read_plan(file) == {"name": "Зал"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<html>", "is not JSON: Expecting value: line 1 column 1"),
        (b'{"zones": [', "is not JSON"),
        (b'{"x": NaN}', "is not JSON: it has NaN"),
        (b'{"name": "Th\xe9\xe2tre"}', "is not text in UTF-8"),
        (b"[1, 2]", "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b"[" * 200_000, "is nested too deeply"),
    ],
)
def test_what_is_no_plan_is_refused_in_words(tmp_path, content, why):
    file = tmp_path / "plan.json"
    file.write_bytes(content)
    with pytest.raises(PlanRefused, match=why) as refused:
        read_plan(file)
    assert str(file) in str(refused.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(PlanRefused, match="No such file"):
        read_plan(tmp_path / "nowhere.json")
    with pytest.raises(PlanRefused, match="Is a directory"):
        read_plan(tmp_path)


def test_zones_have_names_that_are_distinct_whatever_the_categories_are():
    zones = price_zones(["VIP", " VIP", "", "  ", "x" * 900])
    assert [zone["categories"] for zone in zones] == [["VIP"], [" VIP"], [""], ["  "], ["x" * 900]]
    names = [zone["name"] for zone in zones]
    assert len(set(names)) == len(names)
    assert all(0 < len(name.strip()) <= 300 for name in names)


def test_very_many_categories_share_a_zone_per_price():
    names = [f"C{number}" for number in range(ZONES + 500)]
    zones = price_zones(names)
    assert len(zones) == len(PRICES)
    assert sorted(name for zone in zones for name in zone["categories"]) == sorted(names)
