"""Several replicas of a node on one database: who takes care of what, who there is, which tokens are used up.

In SQLite the tables are copied: a column that is added to one there stands behind its constraints, and the two ways to
a database would differ.
"""

from typing import Literal

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text

revision = "0002"
down_revision = "0001"

TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the owner to what can be owned, and three tables."""
    copied: Literal["always", "never"] = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    for table in ("outbox", "timer"):
        with op.batch_alter_table(table, recreate=copied) as changed:
            changed.add_column(Column("owner", BigInteger))
    op.create_table(
        "replica", Column("id", BigInteger, nullable=False, autoincrement=False), PrimaryKeyConstraint("id")
    )
    op.create_table(
        "node", Column("id", TEXT, nullable=False), Column("key", TEXT, nullable=False), PrimaryKeyConstraint("id")
    )
    op.create_table(
        "used_token",
        Column("id", TEXT, nullable=False),
        Column("due_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("used_token_by_due", "used_token", ["due_at"])
