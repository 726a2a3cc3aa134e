"""Lanes of messages: a flood in one does not delay another.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("message", sa.Column("lane", sa.SmallInteger(), server_default="1", nullable=False))
    waiting = sa.text("status IN ('pending', 'sending')")
    op.execute(f"UPDATE message SET lane = 2 WHERE template = 'show_reminder' AND {waiting}")
    op.create_index(op.f("ix_message_lane_due_at"), "message", ["lane", "due_at"], postgresql_where=waiting)
    op.drop_index(op.f("ix_message_due_at"), "message")
