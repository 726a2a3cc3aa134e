"""The clock of an organisation, for the pages of its orders; UTC until the organisation is told of again.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organisations", sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False))
