"""Closes the card pages that a declined card left open when their order was over.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        UPDATE payments SET wanted = 'cancel', due_at = now()
        FROM orders
        WHERE orders.id = payments.order_id AND payments.stage = 'failed' AND payments.wanted IS NULL
          AND orders.stage IN ('paid', 'cancelled') AND orders.due_at IS NULL
        """
    )
