"""An index for orders that never were more than interest, which are forgotten in time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    interest = sa.text("stage = 'interested'")
    op.create_index("ix_order_row_interest", "order_row", ["created_at"], postgresql_where=interest)


def downgrade() -> None:
    op.drop_index("ix_order_row_interest", "order_row")
