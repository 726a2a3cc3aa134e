"""Orders are searched by a text of their own, and sorted by keys of names. A job fills them in for older orders.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

from chassis.search import create_table

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(op, "orders")
    for column in ("customer_sort", "title_sort"):
        op.add_column("orders", sa.Column(column, sa.Text(collation="C"), server_default="", nullable=False))
    op.add_column("orders", sa.Column("searched_as", sa.Text()))
