"""History is append-only, but a person may be taken out of it: texts and names can be emptied and never rewritten.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

EMPTIED = {
    "order_history": (
        "NEW.details IN (OLD.details, '{}'::jsonb) AND NEW.actor IN (OLD.actor, '')",
        "NEW.details := OLD.details; NEW.actor := OLD.actor;",
    ),
    "payment_events": (
        "(NEW.reason IS NULL OR NEW.reason = OLD.reason)",
        "NEW.reason := OLD.reason;",
    ),
}


def upgrade() -> None:
    for table, (emptied, as_before) in EMPTIED.items():
        op.execute(f"""
            CREATE FUNCTION only_emptied_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
            DECLARE
                wanted {table} := NEW;
            BEGIN
                IF {emptied} THEN
                    {as_before}
                    IF NEW IS NOT DISTINCT FROM OLD THEN
                        RETURN wanted;
                    END IF;
                END IF;
                RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
            END $$
        """)
        op.execute(f"DROP TRIGGER append_only ON {table}")
        op.execute(
            f"CREATE TRIGGER append_only BEFORE DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER only_emptied BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION only_emptied_{table}()"
        )
