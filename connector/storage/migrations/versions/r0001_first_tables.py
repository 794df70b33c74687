"""The first tables.

A revision is history and never changes, so it says everything itself and does not read `tables`.
"""

from typing import Any, Final

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
)

revision = "0001"
down_revision = None

SERIAL: Final = BigInteger().with_variant(Integer, "sqlite")
TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")


def _text(*names: str, nullable: bool = False) -> list[Column[Any]]:
    return [Column(name, TEXT, nullable=nullable) for name in names]


def _numbers(*names: str, nullable: bool = False) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=nullable) for name in names]


def _record(table: str, *columns: Column[Any], **indexes: list[str]) -> None:
    """A table with an id as its key, and its indexes `<table>_by_<name>`."""
    op.create_table(table, *_text("id"), *columns, PrimaryKeyConstraint("id"))
    _indexes(table, **indexes)


def _indexes(table: str, **indexes: list[str]) -> None:
    for name, columns in indexes.items():
        op.create_index(f"{table}_by_{name}", table, columns, unique=name == "peer")


def _published(table: str, *columns: Column[Any], **indexes: list[str]) -> None:
    """A table with a place in the catalog's order."""
    op.create_table(
        table,
        Column("cursor", SERIAL, primary_key=True, autoincrement=True),
        *_text("id"),
        *_numbers("created_at"),
        *columns,
        UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    _indexes(table, age=["created_at", "id"], **indexes)


def _reference(name: str) -> Column[Any]:
    return Column(name, SERIAL, ForeignKey(f"{name}.cursor", ondelete="CASCADE"), nullable=False)


def upgrade() -> None:
    """Create everything."""
    _published_tables()
    _process_tables()
    _contract_tables()
    _other_tables()
    _offer_tables()


def _published_tables() -> None:
    _published("asset", *_text("doc"))
    _record("policy", *_numbers("created_at"), *_text("policy", "doc"), age=["created_at", "id"])
    _published(
        "definition",
        *_text("access_policy_id", "contract_policy_id", "doc"),
        access_policy=["access_policy_id"],
        contract_policy=["contract_policy_id"],
    )


def _process_tables() -> None:
    head = ("created_at", "updated_at")
    by = {"age": ["created_at", "id"], "peer": ["peer_id", "peer_pid"], "state": ["state", "created_at", "id"]}
    _record(
        "negotiation",
        *_numbers(*head),
        *_text("role"),
        Column("state", Integer, nullable=False),
        *_text("peer_id", "peer_address"),
        *_text("peer_pid", nullable=True),
        *_text("asset_id"),
        *_text("agreement_id", nullable=True),
        *_text("offer"),
        *_text("asked", nullable=True),
        *_text("doc"),
        **by,
        agreement=["agreement_id"],
    )
    _record(
        "transfer",
        *_numbers(*head),
        *_text("role"),
        Column("state", Integer, nullable=False),
        *_text("peer_id", "peer_address"),
        *_text("peer_pid", nullable=True),
        *_text("agreement_id", "asset_id", "format", "doc"),
        **by,
        agreement=["agreement_id"],
    )


def _contract_tables() -> None:
    _record(
        "agreement",
        *_numbers("created_at"),
        *_text("provider_id", "consumer_id", "asset_id", "negotiation_id"),
        *_numbers("retired_at", nullable=True),
        *_text("retirement_reason", nullable=True),
        *_text("policy"),
        age=["created_at", "id"],
        asset=["asset_id"],
        retirement=["retired_at"],
    )
    _record(
        "edr",
        *_numbers("created_at"),
        *_text("asset_id", "agreement_id", "negotiation_id", "provider_id"),
        *_numbers("expires_at", nullable=True),
        *_text("doc"),
        age=["created_at", "id"],
        asset=["asset_id"],
        agreement=["agreement_id"],
        negotiation=["negotiation_id"],
    )
    _record(
        "access_grant",
        *_numbers("created_at"),
        *_text("consumer_id"),
        *_text("consumer_bpn", nullable=True),
        *_text("agreement_id", "asset_id"),
        *_text("refresh_token", "previous_refresh_token", nullable=True),
        agreement=["agreement_id"],
    )


def _other_tables() -> None:
    _record("secret", *_numbers("created_at"), *_text("value"))
    _record(
        "payload",
        *_numbers("created_at"),
        *_text("semantic_id"),
        Column("body", LargeBinary, nullable=False),
        *_text("digest", "signature"),
    )
    _record(
        "outbox",
        *_numbers("created_at"),
        *_text("topic", "kind", "event", "url"),
        Column("body", LargeBinary, nullable=False),
        *_text("audience", nullable=True),
        *_numbers("due_at"),
        Column("attempts", Integer, nullable=False),
        *_text("last_error", nullable=True),
        Column("dead", Boolean, nullable=False),
        *_text("auth_key", "auth_code_id", nullable=True),
        due=["dead", "due_at", "id"],
        topic=["topic"],
    )
    _record(
        "timer", *_numbers("due_at"), *_text("kind", "subject", "detail"), due=["due_at", "id"], subject=["subject"]
    )


def _offer_tables() -> None:
    op.create_table(
        "asset_property",
        _reference("asset"),
        *_text("path", "value"),
        Column("number", Double),
        PrimaryKeyConstraint("asset", "path", "value"),
        sqlite_with_rowid=False,
    )
    _indexes("asset_property", value=["path", "value", "asset"])
    op.create_table(
        "selector",
        *_text("path", "value"),
        _reference("definition"),
        PrimaryKeyConstraint("path", "value", "definition"),
        sqlite_with_rowid=False,
    )
    _indexes("selector", definition=["definition"])
    op.create_table(
        "audience",
        _reference("definition"),
        *_text("member"),
        PrimaryKeyConstraint("definition", "member"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "offer",
        *_text("audience"),
        _reference("asset"),
        _reference("definition"),
        PrimaryKeyConstraint("audience", "asset", "definition"),
        sqlite_with_rowid=False,
    )
    _indexes("offer", asset=["asset"], definition=["definition"])
