"""Who holds seats, to be counted: by account, and by the network that asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

HAS_SEATS = sa.text("status IN ('active', 'lapsed')")


def upgrade() -> None:
    op.add_column("hold", sa.Column("network", sa.Text()))
    op.create_index("ix_hold_account_id", "hold", ["account_id"], postgresql_where=HAS_SEATS)
    op.create_index("ix_hold_network", "hold", ["network"], postgresql_where=HAS_SEATS)


def downgrade() -> None:
    op.drop_index("ix_hold_network", "hold")
    op.drop_index("ix_hold_account_id", "hold")
    op.drop_column("hold", "network")
