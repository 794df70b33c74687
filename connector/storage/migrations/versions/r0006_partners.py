"""Groups of business partners, and which transfer has used up an agreement for a single one.

In SQLite the table of agreements is copied, as in 0002.
"""

from typing import Literal

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text

revision = "0006"
down_revision = "0005"

TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add a table and a column."""
    copied: Literal["always", "never"] = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("agreement", recreate=copied) as changed:
        changed.add_column(Column("used_by", TEXT))
    op.create_table(
        "business_partner",
        Column("id", TEXT, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("groups", TEXT, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("business_partner_by_age", "business_partner", ["created_at", "id"])
