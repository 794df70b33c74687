"""What counterparties have shown of their credentials last, so that a restart or another replica knows it as well."""

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text

revision = "0008"
down_revision = "0007"

TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add a table."""
    op.create_table(
        "shown_credentials",
        Column("id", TEXT, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("ends_at", BigInteger, nullable=False),
        Column("doc", TEXT, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("shown_credentials_by_end", "shown_credentials", ["ends_at", "id"])
