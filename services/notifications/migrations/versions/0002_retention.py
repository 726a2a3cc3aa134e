"""Indexes for what is forgotten in time.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    body = sa.text("params <> '{}'::jsonb")
    op.create_index("ix_message_with_body", "message", ["finished_at"], postgresql_where=body)
    op.create_index(op.f("ix_attempt_started_at"), "attempt", ["started_at"])
