"""What a person said about a cancellation, apart from the reason that the process decides by.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("cancel_note", sa.Text(), nullable=True))
    op.execute(
        """
        UPDATE orders SET cancel_note = cancel_reason, cancel_reason = CASE WHEN EXISTS (
            SELECT FROM order_history AS entry
            WHERE entry.order_id = orders.id AND entry.what = 'cancelled'
              AND entry.actor IN (orders.customer_email, 'buyer')
        ) THEN 'by_buyer' ELSE 'by_staff' END
        WHERE cancel_reason NOT IN ('by_buyer', 'by_staff', 'deleted', 'hold_released', 'expired', 'refunded',
                                    'seats_unavailable', 'payment_lost')
        """
    )
