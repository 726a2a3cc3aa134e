"""Proven addresses, mailed links, and guesses counted for all processes.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("account", sa.Column("shared_with", ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False))
    op.create_table(
        "letter",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
    )
    op.create_index(op.f("ix_letter_expires_at"), "letter", ["expires_at"])
    op.create_table(
        "guess",
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index(op.f("ix_guess_until"), "guess", ["until"])
    for table in ("letter", "guess"):
        # Only the worker role sees them: they belong to nobody who is known yet.
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY worker ON {table} TO gateway_worker USING (true) WITH CHECK (true)")
