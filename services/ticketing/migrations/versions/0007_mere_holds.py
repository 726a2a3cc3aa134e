"""An index for holds that ended without an order, which are forgotten sooner than the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ended = sa.text("status IN ('released', 'annulled', 'expired')")
    op.create_index("ix_hold_ended_placed_at", "hold", ["placed_at"], postgresql_where=ended)


def downgrade() -> None:
    op.drop_index("ix_hold_ended_placed_at", "hold")
