"""What a table of a million orders is sorted, summed and looked up by. Built without locking writers.

Revision ID: 0018
Revises: 0017
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

LISTED = sa.text("deleted_at IS NULL")
PAID = sa.text("stage = 'paid'")
BOUGHT = sa.text("coalesce(show_id, offer_id)")
STAGE = sa.text("coalesce(stage, '')")
INCLUDED = ["stage", "currency", "paid", "refunded"]

INDEXES: tuple[tuple[str, str, list[Any], Any, list[str]], ...] = (
    ("ix_orders_listed", "orders", ["organisation", "created_at", "id"], LISTED, INCLUDED),
    ("ix_orders_by_total", "orders", ["organisation", "total", "id"], LISTED, []),
    ("ix_orders_by_stage", "orders", ["organisation", STAGE, "id"], LISTED, []),
    ("ix_orders_by_number", "orders", ["organisation", "number", "id"], LISTED, []),
    ("ix_orders_paid_email", "orders", ["organisation", "customer_email", BOUGHT], PAID, []),
    ("ix_orders_paid_phone", "orders", ["organisation", "customer_phone", BOUGHT], PAID, []),
    ("ix_order_lines_organisation_zone_order_id", "order_lines", ["organisation", "zone", "order_id"], None, []),
    ("ix_order_lines_organisation_ticket_number", "order_lines", ["organisation", "ticket_number"], None, []),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, table, columns, where, included in INDEXES:
            op.create_index(
                op.f(name),
                table,
                columns,
                postgresql_where=where,
                postgresql_include=included,
                postgresql_concurrently=True,
                if_not_exists=True,
            )


def downgrade() -> None:
    for name, table, *_ in reversed(INDEXES):
        op.drop_index(name, table)
