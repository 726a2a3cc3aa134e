"""An order does not know how long its hold lives: ticketing does, and nobody read the column.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("orders", "hold_until")
