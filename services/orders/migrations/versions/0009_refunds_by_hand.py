"""Money that came by hand goes back when staff say so; what they must send is told with the order.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("refund_due", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index("ix_orders_refund_due", "orders", ["organisation"], postgresql_where=sa.text("refund_due > 0"))
    op.execute(
        """
        UPDATE refunds SET due_at = NULL FROM payments
        WHERE payments.id = refunds.payment_id AND payments.provider = 'manual' AND NOT refunds.done
        """
    )
    op.execute(
        """
        UPDATE orders SET refund_due = due.amount FROM (
            SELECT refunds.order_id, sum(refunds.amount) AS amount
            FROM refunds JOIN payments ON payments.id = refunds.payment_id
            WHERE payments.provider = 'manual' AND NOT refunds.done GROUP BY refunds.order_id
        ) AS due WHERE due.order_id = orders.id
        """
    )
