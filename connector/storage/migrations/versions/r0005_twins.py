"""The registry of digital twins: descriptors, and by what each can be found by whom."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, PrimaryKeyConstraint, Text

revision = "0005"
down_revision = "0004"

TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add two tables."""
    op.create_table(
        "twin",
        Column("id", TEXT, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("doc", TEXT, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("twin_by_age", "twin", ["created_at", "id"])
    op.create_table(
        "twin_link",
        Column("subject", TEXT, nullable=False),
        Column("link", TEXT, nullable=False),
        Column("twin", TEXT, nullable=False),
        PrimaryKeyConstraint("subject", "link", "twin"),
        ForeignKeyConstraint(["twin"], ["twin.id"], ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("twin_link_by_twin", "twin_link", ["twin"])
