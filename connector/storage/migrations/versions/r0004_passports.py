"""Versions of published passports."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, PrimaryKeyConstraint, Text

revision = "0004"
down_revision = "0003"

TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add a table."""
    op.create_table(
        "passport_version",
        Column("id", TEXT, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("passport_id", TEXT, nullable=False),
        Column("number", Integer, nullable=False),
        Column("serial", TEXT, nullable=False),
        Column("semantic_id", TEXT, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("credential", TEXT, nullable=False),
        Column("disclosures", TEXT, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("passport_version_by_age", "passport_version", ["created_at", "id"])
    op.create_index("passport_version_by_passport", "passport_version", ["passport_id", "number"], unique=True)
    op.create_index("passport_version_by_serial", "passport_version", ["serial"])
