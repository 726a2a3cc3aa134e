"""Since when a capture or cancellation is wanted of a provider, so that one that keeps failing is noticed.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payments", sa.Column("wanted_since", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE payments SET wanted_since = now() WHERE wanted IS NOT NULL")
