"""Read models of orders, money and tickets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.migrations import create_chassis_tables, protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_chassis_tables(op)
    op.create_table(
        "organisation_row",
        sa.Column("organisation", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        *state(),
    )
    op.create_table(
        "show_row",
        sa.Column("show_id", sa.Uuid, primary_key=True),
        sa.Column("organisation", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("capacity", sa.BigInteger, nullable=False),
        *state(),
    )
    op.create_index(None, "show_row", ["organisation", "starts_at"])
    op.create_table(
        "order_row",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("organisation", sa.Uuid, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("payment_status", sa.Text, nullable=False),
        sa.Column("payment_method", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("show_id", sa.Uuid),
        sa.Column("offer_id", sa.Uuid),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        *state(),
    )
    op.create_index(None, "order_row", ["organisation", "created_at"])
    op.create_index(None, "order_row", ["organisation", "event_at"])
    op.create_index(None, "order_row", ["show_id"])
    op.create_table(
        "removed_order",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("organisation", sa.Uuid, nullable=False),
    )
    op.create_table(
        "movement",
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("organisation", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("payment_id", sa.Uuid, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("minor", sa.BigInteger, nullable=False),
        sa.Column("at", TIME, nullable=False),
    )
    op.create_index(None, "movement", ["organisation", "at"])
    op.create_index(None, "movement", ["order_id"])
    op.create_table(
        "ticket_row",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("organisation", sa.Uuid, nullable=False),
        sa.Column("show_id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("issued_at", TIME),
        sa.Column("voided_at", TIME),
    )
    op.create_index(None, "ticket_row", ["organisation", "show_id"])
    for table in ("organisation_row", "show_row", "order_row", "removed_order", "movement", "ticket_row"):
        protect(op, table, service="reporting")


def state() -> list[sa.Column[object]]:
    return [
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("event_at", TIME, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
    ]
