"""For whom twins are beyond the subjects in their descriptors: access policies of publications, and rules.

In SQLite the table of twins is copied, as in 0002. Its links follow it by foreign key: they are kept aside meanwhile.
"""

from typing import Literal

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, PrimaryKeyConstraint, Text

revision = "0007"
down_revision = "0006"

TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add a column and two tables."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    copied: Literal["always", "never"] = "always" if sqlite else "never"
    if sqlite:
        op.execute("CREATE TEMPORARY TABLE kept_link AS SELECT subject, link, twin FROM twin_link")
    with op.batch_alter_table("twin", recreate=copied) as changed:
        changed.add_column(Column("policies", TEXT))
    if sqlite:
        op.execute("INSERT OR IGNORE INTO twin_link (subject, link, twin) SELECT subject, link, twin FROM kept_link")
        op.execute("DROP TABLE kept_link")
    op.create_table(
        "twin_policy",
        Column("member", TEXT, nullable=False),
        Column("policy", TEXT, nullable=False),
        PrimaryKeyConstraint("member", "policy"),
        ForeignKeyConstraint(["policy"], ["policy.id"], ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("twin_policy_by_policy", "twin_policy", ["policy"])
    op.create_table(
        "twin_rule",
        Column("id", TEXT, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("bpn", TEXT, nullable=False),
        Column("doc", TEXT, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("twin_rule_by_age", "twin_rule", ["created_at", "id"])
    op.create_index("twin_rule_by_bpn", "twin_rule", ["bpn"])
