"""A seat with a row is taken, whatever the time: rows that ended holds have left behind must go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_hold_lapsed", "hold", ["expires_at"], postgresql_where=sa.text("status = 'lapsed'"))
    op.execute(
        "DELETE FROM held_seat WHERE until < 'infinity' AND NOT EXISTS ("
        "SELECT FROM hold WHERE hold.id = held_seat.hold_id AND hold.status = 'active')"
    )


def downgrade() -> None:
    op.execute("UPDATE hold SET status = 'active' WHERE status = 'lapsed'")
    op.drop_index("ix_hold_lapsed", "hold")
