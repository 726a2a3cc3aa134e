"""Customers, what they are known by, their orders, and accounts beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from chassis.migrations import create_chassis_tables, protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_chassis_tables(op)
    op.create_table(
        "organisation",
        sa.Column("organisation", sa.Uuid, primary_key=True),
        sa.Column("phone_region", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("event_at", TIME, nullable=False),
    )
    op.create_table(
        "account",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("email_key", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("phone", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("event_at", TIME, nullable=False),
    )
    op.create_index(None, "account", ["email_key"])
    op.create_table(
        "customer",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("organisation", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("date_of_birth", sa.Date),
        sa.Column("locality", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("blacklisted", sa.Boolean, nullable=False),
        sa.Column("blacklist_reason", sa.Text),
        sa.Column("blacklisted_by", sa.Text),
        sa.Column("blacklisted_at", TIME),
        sa.Column("account_id", sa.Uuid),
        sa.Column("registered_name", sa.Text),
        sa.Column("registered_email", sa.Text),
        sa.Column("registered_phone", sa.Text),
        sa.Column("created_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("changed_at", TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_index(None, "customer", ["organisation", "created_at"])
    op.create_index(None, "customer", ["account_id"])
    op.create_table(
        "alias",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("organisation", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("raw", sa.Text, nullable=False),
        customer("customer_id"),
        sa.Column("created_at", TIME, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.UniqueConstraint("organisation", "kind", "value"),
    )
    op.create_index(None, "alias", ["customer_id"])
    op.create_table(
        "overlap",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("organisation", sa.Uuid, nullable=False),
        customer("customer_id"),
        customer("other_id"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("noted_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("organisation", "customer_id", "kind", "value"),
    )
    op.create_index(None, "overlap", ["other_id"])
    op.create_table(
        "customer_order",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("organisation", sa.Uuid, nullable=False),
        customer("customer_id"),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("number_key", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("payment_status", sa.Text, nullable=False),
        sa.Column("payment_method", sa.Text),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("paid", sa.BigInteger, nullable=False),
        sa.Column("refunded", sa.BigInteger, nullable=False),
        sa.Column("show_id", sa.Uuid),
        sa.Column("offer_id", sa.Uuid),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("typed_name", sa.Text, nullable=False),
        sa.Column("typed_email", sa.Text),
        sa.Column("typed_phone", sa.Text),
        sa.Column("account_id", sa.Uuid),
        sa.Column("phone_read", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("removed", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("event_at", TIME, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
    )
    op.create_index(None, "customer_order", ["customer_id", "created_at"])
    op.create_index(None, "customer_order", ["organisation", "number_key"])
    for table in ("organisation", "customer", "alias", "overlap", "customer_order"):
        protect(op, table, service="crm")
    # Accounts belong to no organisation: no policy lets the api role see one.
    op.execute("ALTER TABLE account ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY worker ON account TO crm_worker USING (true) WITH CHECK (true)")


def customer(column: str) -> sa.Column[object]:
    key = sa.ForeignKey("customer.id", deferrable=True, initially="DEFERRED")
    return sa.Column(column, sa.Uuid, key, nullable=False)
