"""Whom people show what they registered, and who ordered a ticket while signed in.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("person", sa.Column("shared_with", ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("order_record", sa.Column("account_id", sa.Uuid()))
