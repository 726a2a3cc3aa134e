"""Sums of orders by stage and of the ledger by account, kept by triggers.

Revision ID: 0019
Revises: 0018
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from chassis.migrations import protect

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# With the rights of the owner: who changes an order need not be able to read or write sums.
TALLY_ORDER = """
CREATE FUNCTION tally_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO tally_change (organisation, subject, name, currency, entries, amount)
    SELECT organisation, 'stage', stage, currency, sum(entries), sum(amount)
    FROM (SELECT OLD.organisation AS organisation, coalesce(OLD.stage, '') AS stage, OLD.currency AS currency,
                 -1 AS entries, OLD.refunded - OLD.paid AS amount
          WHERE TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL
          UNION ALL
          SELECT NEW.organisation, coalesce(NEW.stage, ''), NEW.currency, 1, NEW.paid - NEW.refunded
          WHERE TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL) AS change
    GROUP BY organisation, stage, currency
    HAVING sum(entries) <> 0 OR sum(amount) <> 0;
    RETURN NULL;
END $$
"""
TALLY_LEDGER = """
CREATE FUNCTION tally_ledger() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO tally_change (organisation, subject, name, currency, entries, amount)
    SELECT organisation, 'account', account, currency, count(*), sum(amount) FROM posted
    GROUP BY organisation, account, currency;
    RETURN NULL;
END $$
"""
# A trigger is made under a lock that writers wait for until the sums are in: for a second or two with a million orders.
START = (
    TALLY_ORDER,
    TALLY_LEDGER,
    "CREATE TRIGGER tally AFTER INSERT OR DELETE OR UPDATE OF stage, currency, paid, refunded, deleted_at ON orders "
    "FOR EACH ROW EXECUTE FUNCTION tally_order()",
    "CREATE TRIGGER tally AFTER INSERT ON ledger REFERENCING NEW TABLE AS posted "
    "FOR EACH STATEMENT EXECUTE FUNCTION tally_ledger()",
    """
    INSERT INTO tally (organisation, subject, name, currency, entries, amount)
    SELECT organisation, 'stage', coalesce(stage, ''), currency, count(*), sum(paid - refunded) FROM orders
    WHERE deleted_at IS NULL GROUP BY organisation, coalesce(stage, ''), currency
    UNION ALL
    SELECT organisation, 'account', account, currency, count(*), sum(amount) FROM ledger
    GROUP BY organisation, account, currency
    """,
)


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("organisation", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("subject", "name", "currency")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("entries", "amount")),
    ]


def upgrade() -> None:
    key = ("organisation", "subject", "name", "currency")
    op.create_table("tally", *_columns(), sa.PrimaryKeyConstraint(*key, name=op.f("pk_tally")))
    op.create_table(
        "tally_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tally_change")),
    )
    op.create_index(op.f("ix_tally_change_organisation"), "tally_change", ["organisation"])
    for table in ("tally", "tally_change"):
        protect(op, table, service="orders")
    for statement in START:
        op.execute(statement)


def downgrade() -> None:
    for table, function in (("orders", "tally_order"), ("ledger", "tally_ledger")):
        op.execute(f"DROP TRIGGER tally ON {table}")
        op.execute(f"DROP FUNCTION {function}()")
    op.drop_table("tally_change")
    op.drop_table("tally")
