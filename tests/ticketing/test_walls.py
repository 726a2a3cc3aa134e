"""Organisations are kept apart by the database itself, and every route says who may call it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import text

from services.ticketing.main import create
from services.ticketing.models import Base
from tests.ticketing.conftest import settings_for
from tests.ticketing.holds.crowd import make_show, open_lane
from tests.ticketing.tickets.box import Box

OWNED = [table.name for table in Base.metadata.sorted_tables if "organisation" in table.columns]


@pytest.fixture
async def sold(db):
    """An organisation with a row in every table."""
    async with open_lane(db) as lane:
        box = Box(db, await make_show(db, areas=[5]), lane)
        order = await box.hold("1-1", (0, 1))
        await box.hear(order.paid())
    async with db.as_worker() as session:
        await session.execute(
            text("INSERT INTO organisation_profile (organisation, name) VALUES (:id, 'Театр')"),
            {"id": box.layout.organisation},
        )
        await session.execute(
            text("INSERT INTO person (account_id, name, email) VALUES (:id, 'O', 'OLENA@example.com')"), {"id": uuid4()}
        )
    return box


async def test_a_query_without_a_filter_sees_its_own_organisation_only(db, sold):
    for table in [*OWNED, "person"]:
        count = text(f"SELECT count(*) FROM {table}")
        async with db.for_organisation(uuid4()) as session:
            assert await session.scalar(count) == 0, table
        async with db.for_organisation(None) as session:
            assert await session.scalar(count) == 0, table
        async with db.for_organisation(sold.layout.organisation) as session:
            assert await session.scalar(count) >= 1, table


async def test_every_owned_table_is_under_row_level_security(db):
    async with db.as_worker() as session:
        rows = await session.execute(text("SELECT relname FROM pg_class WHERE relrowsecurity"))
        protected = set(rows.scalars())
    assert set(OWNED) | {"person"} <= protected


def test_the_raw_routes_are_in_the_openapi_document(urls, tokens):
    document = create(settings_for(urls, tokens)).openapi()
    hold = document["paths"]["/shows/{show_id}/holds"]
    assert {"get", "post"} <= set(hold)
    assert hold["post"]["responses"]["201"]["content"]["application/json"]["schema"]["$ref"].endswith("/HoldOut")
    assert "HeldSeatOut" in document["components"]["schemas"]
    assert "304" in document["paths"]["/shows/{show_id}/seats"]["get"]["responses"]
