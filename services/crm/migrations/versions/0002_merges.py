"""Customers that staff merged, and orders that they gave to somebody else."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("customer", sa.Column("merged_into", sa.Uuid, sa.ForeignKey("customer.id")))
    op.add_column("customer", sa.Column("merged_by", sa.Text))
    op.add_column("customer", sa.Column("merged_at", sa.DateTime(timezone=True)))
    op.add_column("customer", sa.Column("survivor_id", sa.Uuid, sa.ForeignKey("customer.id")))
    op.create_index(None, "customer", ["merged_into"])
    op.create_index("ix_customer_counted_as", "customer", [sa.text("coalesce(survivor_id, id)")])
    op.add_column("customer_order", sa.Column("by_staff", sa.Boolean, nullable=False, server_default=sa.text("false")))
