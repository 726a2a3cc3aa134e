"""Messages about an order that did not reach their recipient.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import protect

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "undelivered",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_undelivered")),
    )
    op.create_index(op.f("ix_undelivered_order_id"), "undelivered", ["order_id"])
    protect(op, "undelivered", service="orders")
