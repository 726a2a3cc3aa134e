"""Indexes for lists that are sorted by names. Built without locking writers.

Revision ID: 0021
Revises: 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_orders_unsearched", "(id) WHERE searched_as IS NULL"),
    ("ix_orders_customer_sort", "(organisation, customer_sort, id)"),
    ("ix_orders_title_sort", "(organisation, title_sort, id)"),
    ("ix_orders_customer_script", "(organisation, (customer_sort < '~'::text), customer_sort, id)"),
    ("ix_orders_title_script", "(organisation, (title_sort < '~'::text), title_sort, id)"),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, what in INDEXES:
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON orders {what}")


def downgrade() -> None:
    for name, _ in reversed(INDEXES):
        op.drop_index(name, "orders")
