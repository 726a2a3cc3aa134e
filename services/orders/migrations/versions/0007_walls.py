"""Staff see an account only beside an order of their organisation, as elsewhere on the platform.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MINE = "organisation = nullif(current_setting('footlights.organisation', true), '')::uuid"


def upgrade() -> None:
    op.create_index(
        op.f("ix_order_lines_organisation_participant_email"), "order_lines", ["organisation", "participant_email"]
    )
    op.execute("ALTER TABLE accounts ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY worker ON accounts TO orders_worker USING (true) WITH CHECK (true)")
    op.execute(
        "CREATE POLICY caller ON accounts FOR SELECT TO orders_api USING ("
        f"EXISTS (SELECT FROM orders WHERE orders.customer_email = accounts.email AND orders.{MINE})"
        " OR EXISTS (SELECT FROM order_lines"
        f" WHERE order_lines.participant_email = accounts.email AND order_lines.{MINE}))"
    )
