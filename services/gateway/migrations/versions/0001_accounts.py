"""Organisations, accounts, memberships, sessions and API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.migrations import create_chassis_tables, protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ORGANISATION = "nullif(current_setting('footlights.organisation', true), '')::uuid"
ACCOUNT = "nullif(current_setting('footlights.account', true), '')::uuid"


def upgrade() -> None:
    create_chassis_tables(op)
    _organisation()
    _account()
    _membership()
    _session()
    _key()
    protect(op, "membership", service="gateway", account_column="account_id")
    protect(op, "api_key", service="gateway", account_column="account_id")
    _protect("sign_in_session", f"account_id = {ACCOUNT}")
    _protect(
        "account",
        f"id = {ACCOUNT} OR EXISTS (SELECT FROM membership m"
        f" WHERE m.account_id = account.id AND m.organisation = {ORGANISATION})",
    )
    _protect(
        "organisation",
        f"id = {ORGANISATION} OR EXISTS (SELECT FROM membership m"
        f" WHERE m.organisation = organisation.id AND m.account_id = {ACCOUNT})",
    )


def _protect(table: str, visible: str) -> None:
    """Row-level security for tables whose owner is not a column of their own."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY caller ON {table} TO gateway_api USING ({visible}) WITH CHECK ({visible})")
    op.execute(f"CREATE POLICY worker ON {table} TO gateway_worker USING (true) WITH CHECK (true)")


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _organisation() -> None:
    op.create_table(
        "organisation",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("phone_region", sa.Text(), nullable=False),
        sa.Column("staff_email", sa.Text(), nullable=False),
        sa.Column("staff_phone", sa.Text()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _now("created_at"),
        sa.UniqueConstraint("slug", name=op.f("uq_organisation_slug")),
    )


def _account() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text()),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("password_expires_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _now("created_at"),
        sa.UniqueConstraint("email_key", name=op.f("uq_account_email_key")),
    )


def _membership() -> None:
    op.create_table(
        "membership",
        sa.Column("account_id", sa.Uuid(), sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("organisation", sa.Uuid(), sa.ForeignKey("organisation.id"), primary_key=True),
        sa.Column("roles", ARRAY(sa.Text()), nullable=False),
        sa.Column("invitation_hash", sa.LargeBinary()),
        _now("created_at"),
        sa.CheckConstraint("cardinality(roles) > 0", name=op.f("ck_membership_has_roles")),
    )
    op.create_index(op.f("ix_membership_organisation"), "membership", ["organisation"])


def _session() -> None:
    op.create_table(
        "sign_in_session",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.Uuid(), sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        _now("created_at"),
        _now("used_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sign_in_session_token_hash")),
    )
    op.create_index(op.f("ix_sign_in_session_account_id"), "sign_in_session", ["account_id"])
    op.create_index(op.f("ix_sign_in_session_expires_at"), "sign_in_session", ["expires_at"])


def _key() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
        sa.Column("organisation", sa.Uuid(), sa.ForeignKey("organisation.id")),
        sa.Column("roles", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        _now("created_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
    )
    op.create_index("ix_api_key_account_id_organisation", "api_key", ["account_id", "organisation"])
