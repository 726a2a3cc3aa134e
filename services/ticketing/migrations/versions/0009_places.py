"""Holds of places, where and for whom they were asked for, and orders of several holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON

from chassis.migrations import protect

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

HOLD = ("places", "units", "asked", "channel", "name", "note", "clerk_id")
TICKET = ("hold_id", "area_id", "fare", "fare_name", "line_id", "channel", "void_request")


def upgrade() -> None:
    op.add_column("hold", sa.Column("places", JSON(), nullable=False, server_default="[]"))
    op.add_column("hold", sa.Column("units", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE hold SET units = cardinality(seats)")
    op.add_column("hold", sa.Column("asked", sa.Text(), nullable=False, server_default=""))
    op.add_column("hold", sa.Column("channel", sa.Text(), nullable=False, server_default="site"))
    op.add_column("hold", sa.Column("name", sa.Text()))
    op.add_column("hold", sa.Column("note", sa.Text()))
    op.add_column("hold", sa.Column("clerk_id", sa.Uuid()))
    op.create_table(
        "held_place",
        sa.Column("hold_id", sa.Uuid(), primary_key=True),
        sa.Column("area_id", sa.Uuid(), primary_key=True),
        sa.Column("fare", sa.Text(), primary_key=True),
        sa.Column("organisation", sa.Uuid(), nullable=False),
        sa.Column("show_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("quantity > 0", name="quantity"),
        sa.Index("ix_held_place_area_id", "area_id"),
    )
    protect(op, "held_place", service="ticketing")
    _orders_of_several_holds()


def _orders_of_several_holds() -> None:
    op.add_column("order_record", sa.Column("order_id", sa.Uuid()))
    op.execute("UPDATE order_record SET order_id = id")
    op.alter_column("order_record", "order_id", nullable=False)
    op.create_index("ix_order_record_order_id", "order_record", ["order_id"])
    op.add_column("order_record", sa.Column("revoked_places", JSON(), nullable=False, server_default="{}"))
    for table in ("document", "ticket"):
        op.drop_constraint(f"fk_{table}_order_id_order_record", table)
        op.add_column(table, sa.Column("hold_id", sa.Uuid()))
        op.execute(f"UPDATE {table} SET hold_id = order_id")
        op.alter_column(table, "hold_id", nullable=False)
        op.create_foreign_key(f"fk_{table}_hold_id_order_record", table, "order_record", ["hold_id"], ["id"])
        op.create_index(f"ix_{table}_hold_id", table, ["hold_id"])
    op.alter_column("ticket", "seat", nullable=True)
    op.add_column("ticket", sa.Column("area_id", sa.Uuid()))
    op.add_column("ticket", sa.Column("fare", sa.Text(), nullable=False, server_default="full"))
    op.add_column("ticket", sa.Column("fare_name", sa.Text()))
    op.add_column("ticket", sa.Column("line_id", sa.Uuid()))
    op.add_column("ticket", sa.Column("channel", sa.Text(), nullable=False, server_default="site"))
    op.add_column("ticket", sa.Column("void_request", sa.Uuid()))


def downgrade() -> None:
    op.drop_table("held_place")
    for column in HOLD:
        op.drop_column("hold", column)
    op.execute("DELETE FROM ticket WHERE seat IS NULL")
    op.alter_column("ticket", "seat", nullable=False)
    for table in ("document", "ticket"):
        op.drop_constraint(f"fk_{table}_hold_id_order_record", table)
        op.create_foreign_key(f"fk_{table}_order_id_order_record", table, "order_record", ["order_id"], ["id"])
    op.drop_column("document", "hold_id")
    for column in TICKET:
        op.drop_column("ticket", column)
    op.drop_column("order_record", "revoked_places")
    op.drop_column("order_record", "order_id")
