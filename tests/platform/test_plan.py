"""The theatre that ships: about 800 seats, accepted by the import, and made by the script beside it."""

from __future__ import annotations

import json

from deploy.demo_data import PLAN, ZONES
from deploy.plans.make_theatre import plan
from services.ticketing.halls.plan import check


def test_the_file_is_what_the_script_makes():
    assert json.loads(PLAN.read_text()) == plan()


def test_the_import_takes_it_and_every_category_has_a_price():
    checked = check(plan())
    assert 750 <= checked.seats <= 850
    assert {category.name for category in checked.categories} == {zone["name"] for zone in ZONES}
    assert all(category.seats > 0 for category in checked.categories)
