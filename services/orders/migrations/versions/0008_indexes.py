"""Indexes for what is measured and what is forgotten.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_webhook_events_received_at"), "webhook_events", ["received_at"])
    op.create_index("ix_refunds_not_done", "refunds", ["created_at"], postgresql_where=sa.text("NOT done"))
    op.create_index("ix_orders_undelivered", "orders", ["paid_at"], postgresql_where=sa.text("delivery = 'requested'"))
