"""An index for holds that ended without tickets, which are forgotten in time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ended = sa.text("status IN ('released', 'annulled', 'expired')")
    op.create_index("ix_hold_ended", "hold", ["show_id"], postgresql_where=ended)


def downgrade() -> None:
    op.drop_index("ix_hold_ended", "hold")
