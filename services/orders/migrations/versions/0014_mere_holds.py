"""What was only a hold may be forgotten, with its history; all other history stays append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# By row, because it asks whose history it is.
KEEP_HISTORY = """
CREATE FUNCTION keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM orders WHERE id = OLD.order_id AND hold_released AND (stage IS NULL OR stage = 'interested')
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'order_history is append-only' USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.execute("DROP TRIGGER append_only ON order_history")
    op.execute(KEEP_HISTORY)
    op.execute("CREATE TRIGGER append_only BEFORE DELETE ON order_history FOR EACH ROW EXECUTE FUNCTION keep_history()")
    mere = sa.text("hold_released AND (stage IS NULL OR stage = 'interested')")
    op.create_index("ix_orders_mere_holds", "orders", ["created_at"], postgresql_where=mere)


def downgrade() -> None:
    op.drop_index("ix_orders_mere_holds", "orders")
    op.execute("DROP TRIGGER append_only ON order_history")
    op.execute("DROP FUNCTION keep_history()")
    op.execute(
        "CREATE TRIGGER append_only BEFORE DELETE ON order_history FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
