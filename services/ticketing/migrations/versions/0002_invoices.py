"""Whether a ticket may be ordered by invoice is said per price zone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("price_zone", sa.Column("invoice_allowed", sa.Boolean()))


def downgrade() -> None:
    op.drop_column("price_zone", "invoice_allowed")
