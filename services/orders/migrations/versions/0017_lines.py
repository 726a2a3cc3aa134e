"""Lines say who gives what they sell, and count what was given and taken back. Orders may take over holds of others.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("merged_into", sa.Uuid()))
    for column in (
        sa.Column("given_by", sa.Text()),
        sa.Column("show_id", sa.Uuid()),
        sa.Column("hold_id", sa.Uuid()),
        sa.Column("fare", sa.Text()),
        sa.Column("fare_name", sa.Text()),
        sa.Column("discount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("discount_reason", sa.Text()),
        sa.Column("tax", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tax_rate", sa.Text()),
        sa.Column("cost", sa.BigInteger()),
        sa.Column("given", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("returned", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("returns", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
    ):
        op.add_column("order_lines", column)
    op.execute("""
        UPDATE order_lines l SET
            given_by = CASE l.kind WHEN 'seat' THEN 'ticketing' WHEN 'course' THEN 'school' ELSE 'warehouse' END,
            show_id = CASE l.kind WHEN 'seat' THEN o.show_id END,
            hold_id = CASE l.kind WHEN 'seat' THEN o.id END,
            given = CASE WHEN l.kind = 'seat' AND o.delivery = 'issued' OR l.kind = 'course' AND o.sold
                    THEN l.quantity ELSE 0 END,
            returned = CASE WHEN l.state = 'gone' THEN l.quantity ELSE 0 END,
            returns = CASE WHEN l.state = 'live' THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
                'request', l.request_id, 'quantity', l.quantity, 'amount', l.total, 'fee', 0,
                'gone', l.state = 'gone', 'refund', l.refund_id)) END
        FROM orders o WHERE o.id = l.order_id
    """)
    op.alter_column("order_lines", "given_by", nullable=False)
    op.drop_column("order_lines", "request_id")
    op.drop_column("order_lines", "refund_id")
    op.create_index(
        "ix_order_lines_show_id", "order_lines", ["show_id"], postgresql_where=sa.text("show_id IS NOT NULL")
    )
