"""Fares of a price zone, zones that are given on request only, and areas: places that nobody chooses one by one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON

from chassis.migrations import protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("price_zone", sa.Column("fares", JSON(), nullable=False, server_default="[]"))
    op.add_column("price_zone", sa.Column("accessible", sa.Boolean(), nullable=False, server_default="false"))
    op.create_table(
        "area",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation", sa.Uuid(), nullable=False),
        sa.Column(
            "show_id",
            sa.Uuid(),
            sa.ForeignKey("show.id", name="fk_area_show_id_show", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("zone_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("capacity", sa.BigInteger(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False, server_default="0"),
        sa.CheckConstraint("taken >= 0 AND taken <= capacity", name="taken"),
        sa.Index("ix_area_show_id", "show_id"),
        # The counter is what changes: it stays on its page, and no index is written.
        postgresql_with={"fillfactor": "50"},
    )
    protect(op, "area", service="ticketing")


def downgrade() -> None:
    op.drop_table("area")
    op.drop_column("price_zone", "accessible")
    op.drop_column("price_zone", "fares")
