"""The wallet: credentials that were issued to us, and what we asked issuers for."""

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text

revision = "0003"
down_revision = "0002"

TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add two tables."""
    op.create_table(
        "credential",
        Column("id", TEXT, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("issuer", TEXT, nullable=False),
        Column("state", TEXT, nullable=False),
        Column("valid_until", BigInteger),
        Column("doc", TEXT, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("credential_by_age", "credential", ["created_at", "id"])
    op.create_table(
        "credential_request",
        Column("id", TEXT, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("updated_at", BigInteger, nullable=False),
        Column("issuer", TEXT, nullable=False),
        Column("state", TEXT, nullable=False),
        Column("doc", TEXT, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("credential_request_by_age", "credential_request", ["created_at", "id"])
