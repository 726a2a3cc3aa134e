"""Halls, shows, price zones, holds and their seats, orders as far as ticketing knows them, documents and tickets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from chassis.migrations import create_chassis_tables, protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERVICE = "ticketing"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_chassis_tables(op)
    _people()
    _halls_and_shows()
    _holds()
    _tickets()
    for table in (
        "organisation_profile",
        "hall",
        "show",
        "price_zone",
        "hold",
        "held_seat",
        "order_record",
        "document",
        "ticket",
    ):
        protect(op, table, service=SERVICE)


def _people() -> None:
    op.create_table(
        "organisation_profile",
        sa.Column("organisation", sa.Uuid(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False, server_default="en"),
        sa.Column("time_zone", sa.Text(), nullable=False, server_default="UTC"),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.create_table(
        "person",
        sa.Column("account_id", sa.Uuid(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text()),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.create_index("ix_person_email", "person", [sa.text("lower(email)")])
    # People belong to no organisation. Staff see those who are on a ticket of theirs (REG-6).
    op.execute("ALTER TABLE person ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY worker ON person TO ticketing_worker USING (true) WITH CHECK (true)")


def _halls_and_shows() -> None:
    op.create_table(
        "hall",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation", sa.Uuid(), nullable=False, index=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("seats", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "show",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation", sa.Uuid(), nullable=False),
        sa.Column("hall_id", sa.Uuid(), sa.ForeignKey("hall.id", name="fk_show_hall_id_hall"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("invoice_allowed", sa.Boolean(), nullable=False, server_default="false"),
        sa.Column("hold_seconds", sa.BigInteger()),
        sa.Column("payment_seconds", sa.BigInteger()),
        sa.Column("status", sa.Text(), nullable=False, server_default="draft"),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="1"),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("hold_seconds > 0 AND payment_seconds > 0", name="periods"),
        sa.Index("ix_show_organisation_starts_at", "organisation", "starts_at"),
        sa.Index("ix_show_starts_at", "starts_at"),
    )
    op.create_table(
        "price_zone",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation", sa.Uuid(), nullable=False),
        sa.Column(
            "show_id",
            sa.Uuid(),
            sa.ForeignKey("show.id", name="fk_price_zone_show_id_show", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("categories", ARRAY(sa.Text()), nullable=False),
        sa.Column("seats", ARRAY(sa.Text()), nullable=False),
        sa.CheckConstraint("price_minor >= 0", name="price"),
        sa.Index("ix_price_zone_show_id", "show_id"),
    )


def _holds() -> None:
    op.create_table(
        "hold",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation", sa.Uuid(), nullable=False),
        sa.Column("show_id", sa.Uuid(), nullable=False),
        sa.Column("seats", ARRAY(sa.Text()), nullable=False),
        sa.Column("terms", JSON(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, server_default="active"),
        sa.Column("placed_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("latest_at", MOMENT, nullable=False),
        sa.Column("extended", sa.Boolean(), nullable=False, server_default="false"),
        sa.Column("account_id", sa.Uuid()),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="1"),
        sa.Index("ix_hold_active_until", "expires_at", postgresql_where=sa.text("status = 'active'")),
        sa.Index("ix_hold_show_id_placed_at", "show_id", "placed_at"),
    )
    op.create_table(
        "held_seat",
        sa.Column("show_id", sa.Uuid(), primary_key=True),
        sa.Column("seat", sa.Text(), primary_key=True),
        sa.Column("organisation", sa.Uuid(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        postgresql_with={"fillfactor": "70"},
    )


def _tickets() -> None:
    op.create_table(
        "order_record",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation", sa.Uuid(), nullable=False, index=True),
        sa.Column("show_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False, server_default="open"),
        sa.Column("revoked_seats", ARRAY(sa.Text()), nullable=False, server_default="{}"),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.create_table(
        "document",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("organisation", sa.Uuid(), nullable=False, index=True),
        sa.Column("order_id", sa.Uuid(), sa.ForeignKey("order_record.id"), nullable=False, index=True),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("phone", sa.Text()),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "ticket",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True, start=1_000_001), nullable=False, unique=True),
        sa.Column("organisation", sa.Uuid(), nullable=False, index=True),
        sa.Column("order_id", sa.Uuid(), sa.ForeignKey("order_record.id"), nullable=False, index=True),
        sa.Column("document_id", sa.Uuid(), sa.ForeignKey("document.id"), nullable=False, index=True),
        sa.Column("show_id", sa.Uuid(), nullable=False),
        sa.Column("seat", sa.Text(), nullable=False),
        sa.Column("place", JSON(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("zone_name", sa.Text(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("holder_name", sa.Text(), nullable=False),
        sa.Column("holder_email", sa.Text()),
        sa.Column("holder_phone", sa.Text()),
        sa.Column("issued_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("voided_at", MOMENT),
        sa.Column("void_reason", sa.Text()),
        sa.Index(
            "uq_ticket_living_seat", "show_id", "seat", unique=True, postgresql_where=sa.text("voided_at IS NULL")
        ),
        sa.Index("ix_ticket_show_id", "show_id"),
        sa.Index("ix_ticket_holder_email", sa.text("lower(holder_email)")),
    )
    op.execute(
        "CREATE POLICY caller ON person FOR SELECT TO ticketing_api USING (EXISTS ("
        "SELECT FROM ticket WHERE lower(ticket.holder_email) = lower(person.email)"
        " AND ticket.organisation = nullif(current_setting('footlights.organisation', true), '')::uuid))"
    )
