"""Whether a movement is of money that went back: a refund that failed is as positive as a payment.

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
    op.add_column("movement", sa.Column("returned", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute("UPDATE movement SET returned = minor < 0")
