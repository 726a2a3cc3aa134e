"""An index for orders that never were more than interest, which are forgotten in time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    interest = sa.text("stage = 'interested'")
    op.create_index("ix_customer_order_interest", "customer_order", ["created_at"], postgresql_where=interest)


def downgrade() -> None:
    op.drop_index("ix_customer_order_interest", "customer_order")
