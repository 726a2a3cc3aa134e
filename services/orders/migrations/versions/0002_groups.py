"""Groups of students, and the token that opens a course.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("offers", sa.Column("group_name", sa.Text(), nullable=True))
    op.add_column("enrolments", sa.Column("group_name", sa.Text(), nullable=True))
    op.add_column("enrolments", sa.Column("access_token", sa.Text(), nullable=True))
    op.create_unique_constraint(op.f("uq_enrolments_access_token"), "enrolments", ["access_token"])
