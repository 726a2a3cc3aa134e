"""What providers did unasked, what they refused for good, and what accountants say of money that staff took.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from chassis.migrations import unsee

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payments", sa.Column("disputes", JSONB(), server_default=sa.text("'[]'"), nullable=False))
    op.add_column("payments", sa.Column("receipt", sa.Text()))
    op.add_column("payments", sa.Column("value_date", sa.Date()))
    op.add_column("payments", sa.Column("account", sa.Text()))
    op.add_column("orders", sa.Column("disputed", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("orders", sa.Column("missing", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index("ix_orders_disputed", "orders", ["organisation"], postgresql_where=sa.text("disputed > 0"))
    op.execute("UPDATE orders SET missing = total - paid WHERE stage = 'awaiting_payment' AND total > paid")

    op.add_column("refunds", sa.Column("stage", sa.Text(), server_default="pending", nullable=False))
    op.add_column("refunds", sa.Column("origin", sa.Text(), server_default="order", nullable=False))
    op.add_column("refunds", sa.Column("value_date", sa.Date()))
    op.execute(
        """
        UPDATE refunds SET stage = CASE WHEN payments.provider = 'manual' THEN 'sent' ELSE 'done' END
        FROM payments WHERE payments.id = refunds.payment_id AND refunds.done
        """
    )
    unsee(op, "refunds")
    op.drop_index("ix_refunds_not_done", table_name="refunds")
    op.drop_column("refunds", "done")
    op.create_index(
        "ix_refunds_open", "refunds", ["created_at"], postgresql_where=sa.text("stage IN ('pending', 'refused')")
    )
