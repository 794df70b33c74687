"""The tables, for SQLite and PostgreSQL alike.

One record is one row: its id, the columns that are asked for, and `doc`, a JSON text with the rest. Writing a process
is one UPDATE, however long its history. Policies stand in columns of their own, because their text is the key under
which the parsed policy is remembered (`codec`).

Three tables answer the catalog without sorting or scanning the stock (`offers`): `asset_property` is an inverted index
of asset properties, `selector` and `audience` say which definitions may select an asset and who may see them, `offer`
is the result, worked out when something is published. They follow their asset or definition by foreign key.

`owner` is the replica that is to send a message or ring a timer, `replica` who there is, `node` whose database this is,
`used_token` what all of them must refuse (see `replicas`); SQLite has one process and leaves them empty.

Types are the ones both databases have. Texts are compared by code point, whatever language the database speaks: paging,
LIKE and the pure comparisons (`properties`) need the same order everywhere. Times are milliseconds since the epoch.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

ANYONE: Final = "*"
"""The audience of an offer that is not restricted to business partner numbers."""
SERIAL: Final = BigInteger().with_variant(Integer, "sqlite")
"""A number given by the database; SQLite counts only an INTEGER PRIMARY KEY."""

TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

metadata: Final = MetaData()


def _text(name: str, *, optional: bool = False) -> Column[Any]:
    return Column(name, TEXT, nullable=optional)


def _time(name: str = "created_at", *, optional: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=optional)


def _id() -> Column[Any]:
    return Column("id", TEXT, primary_key=True)


def _owner() -> Column[Any]:
    """Number of the replica that takes care of it; None if nobody does yet. Records do not know of it."""
    return Column("owner", BigInteger, nullable=True)


def _cursor() -> Column[Any]:
    """The place in the catalog's order; it is never given twice, so that a page can go on behind a deleted asset."""
    return Column("cursor", SERIAL, primary_key=True, autoincrement=True)


def _follows(name: str, table: str) -> Column[Any]:
    return Column(
        name, SERIAL, ForeignKey(f"{table}.cursor", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )


asset: Final = Table(
    "asset",
    metadata,
    _cursor(),
    Column("id", TEXT, nullable=False, unique=True),
    _time(),
    _text("doc"),
    Index("asset_by_age", "created_at", "id"),
    sqlite_autoincrement=True,
)
policy: Final = Table(
    "policy", metadata, _id(), _time(), _text("policy"), _text("doc"), Index("policy_by_age", "created_at", "id")
)
definition: Final = Table(
    "definition",
    metadata,
    _cursor(),
    Column("id", TEXT, nullable=False, unique=True),
    _time(),
    _text("access_policy_id"),
    _text("contract_policy_id"),
    _text("doc"),
    Index("definition_by_age", "created_at", "id"),
    Index("definition_by_access_policy", "access_policy_id"),
    Index("definition_by_contract_policy", "contract_policy_id"),
    sqlite_autoincrement=True,
)
negotiation: Final = Table(
    "negotiation",
    metadata,
    _id(),
    _time(),
    _time("updated_at"),
    _text("role"),
    Column("state", Integer, nullable=False),  # the code in `connector.exchange.states`
    _text("peer_id"),
    _text("peer_address"),
    _text("peer_pid", optional=True),
    _text("asset_id"),
    _text("agreement_id", optional=True),
    _text("offer"),
    _text("asked", optional=True),
    _text("doc"),
    Index("negotiation_by_age", "created_at", "id"),
    Index("negotiation_by_peer", "peer_id", "peer_pid", unique=True),
    Index("negotiation_by_state", "state", "created_at", "id"),
    Index("negotiation_by_agreement", "agreement_id"),
)
agreement: Final = Table(
    "agreement",
    metadata,
    _id(),
    _time(),
    _text("provider_id"),
    _text("consumer_id"),
    _text("asset_id"),
    _text("negotiation_id"),
    _time("retired_at", optional=True),
    _text("retirement_reason", optional=True),
    _text("policy"),
    _text("used_by", optional=True),
    Index("agreement_by_age", "created_at", "id"),
    Index("agreement_by_asset", "asset_id"),
    Index("agreement_by_retirement", "retired_at"),
)
transfer: Final = Table(
    "transfer",
    metadata,
    _id(),
    _time(),
    _time("updated_at"),
    _text("role"),
    Column("state", Integer, nullable=False),
    _text("peer_id"),
    _text("peer_address"),
    _text("peer_pid", optional=True),
    _text("agreement_id"),
    _text("asset_id"),
    _text("format"),
    _text("doc"),
    Index("transfer_by_age", "created_at", "id"),
    Index("transfer_by_peer", "peer_id", "peer_pid", unique=True),
    Index("transfer_by_state", "state", "created_at", "id"),
    Index("transfer_by_agreement", "agreement_id"),
)
edr: Final = Table(
    "edr",
    metadata,
    _id(),
    _time(),
    _text("asset_id"),
    _text("agreement_id"),
    _text("negotiation_id"),
    _text("provider_id"),
    _time("expires_at", optional=True),
    _text("doc"),
    Index("edr_by_age", "created_at", "id"),
    Index("edr_by_asset", "asset_id"),
    Index("edr_by_agreement", "agreement_id"),
    Index("edr_by_negotiation", "negotiation_id"),
)
grant: Final = Table(
    "access_grant",  # GRANT is a word of SQL
    metadata,
    _id(),
    _time(),
    _text("consumer_id"),
    _text("consumer_bpn", optional=True),
    _text("agreement_id"),
    _text("asset_id"),
    _text("refresh_token", optional=True),
    _text("previous_refresh_token", optional=True),
    Index("access_grant_by_agreement", "agreement_id"),
)
partner: Final = Table(
    "business_partner", metadata, _id(), _time(), _text("groups"), Index("business_partner_by_age", "created_at", "id")
)
secret: Final = Table("secret", metadata, _id(), _time(), _text("value"))
payload: Final = Table(
    "payload",
    metadata,
    _id(),
    _time(),
    _text("semantic_id"),
    Column("body", LargeBinary, nullable=False),
    _text("digest"),
    _text("signature"),
)
credential: Final = Table(
    "credential",
    metadata,
    _id(),
    _time(),
    _text("issuer"),
    _text("state"),
    _time("valid_until", optional=True),
    _text("doc"),
    Index("credential_by_age", "created_at", "id"),
)
credential_request: Final = Table(
    "credential_request",
    metadata,
    _id(),
    _time(),
    _time("updated_at"),
    _text("issuer"),
    _text("state"),
    _text("doc"),
    Index("credential_request_by_age", "created_at", "id"),
)
shown: Final = Table(
    "shown_credentials",
    metadata,
    _id(),
    _time(),
    _time("ends_at"),
    _text("doc"),
    Index("shown_credentials_by_end", "ends_at", "id"),
)
passport_version: Final = Table(
    "passport_version",
    metadata,
    _id(),
    _time(),
    _text("passport_id"),
    Column("number", Integer, nullable=False),
    _text("serial"),
    _text("semantic_id"),
    Column("body", LargeBinary, nullable=False),
    _text("credential"),
    _text("disclosures"),
    Index("passport_version_by_age", "created_at", "id"),
    Index("passport_version_by_passport", "passport_id", "number", unique=True),
    Index("passport_version_by_serial", "serial"),
)
twin: Final = Table(
    "twin",
    metadata,
    _id(),
    _time(),
    _text("doc"),
    _text("policies", optional=True),
    Index("twin_by_age", "created_at", "id"),
)
twin_link: Final = Table(
    "twin_link",
    metadata,
    Column("subject", TEXT, primary_key=True),
    Column("link", TEXT, primary_key=True),
    Column("twin", TEXT, ForeignKey("twin.id", ondelete="CASCADE"), primary_key=True),
    Index("twin_link_by_twin", "twin"),
    sqlite_with_rowid=False,
)
twin_policy: Final = Table(
    "twin_policy",
    metadata,
    Column("member", TEXT, primary_key=True),
    Column("policy", TEXT, ForeignKey("policy.id", ondelete="CASCADE"), primary_key=True),
    Index("twin_policy_by_policy", "policy"),
    sqlite_with_rowid=False,
)
twin_rule: Final = Table(
    "twin_rule",
    metadata,
    _id(),
    _time(),
    _text("bpn"),
    _text("doc"),
    Index("twin_rule_by_age", "created_at", "id"),
    Index("twin_rule_by_bpn", "bpn"),
)
outbox: Final = Table(
    "outbox",
    metadata,
    _id(),
    _time(),
    _text("topic"),
    _text("kind"),
    _text("event"),
    _text("url"),
    Column("body", LargeBinary, nullable=False),
    _text("audience", optional=True),
    _time("due_at"),
    Column("attempts", Integer, nullable=False),
    _text("last_error", optional=True),
    Column("dead", Boolean, nullable=False),
    _text("auth_key", optional=True),
    _text("auth_code_id", optional=True),
    _owner(),
    Index("outbox_by_due", "dead", "due_at", "id"),
    Index("outbox_by_topic", "topic"),
)
timer: Final = Table(
    "timer",
    metadata,
    _id(),
    _time("due_at"),
    _text("kind"),
    _text("subject"),
    _text("detail"),
    _owner(),
    Index("timer_by_due", "due_at", "id"),
    Index("timer_by_subject", "subject"),
)

replica: Final = Table("replica", metadata, Column("id", BigInteger, primary_key=True, autoincrement=False))
node: Final = Table("node", metadata, _id(), _text("key"))  # `key` is the kid of the signing key
used_token: Final = Table("used_token", metadata, _id(), _time("due_at"), Index("used_token_by_due", "due_at"))

asset_property: Final = Table(
    "asset_property",
    metadata,
    _follows("asset", "asset"),
    Column("path", TEXT, primary_key=True),
    Column("value", TEXT, primary_key=True),
    Column("number", Double),
    Index("asset_property_by_value", "path", "value", "asset"),
    sqlite_with_rowid=False,
)
selector: Final = Table(
    "selector",
    metadata,
    Column("path", TEXT, primary_key=True),
    Column("value", TEXT, primary_key=True),
    _follows("definition", "definition"),
    Index("selector_by_definition", "definition"),
    sqlite_with_rowid=False,
)
audience: Final = Table(
    "audience",
    metadata,
    _follows("definition", "definition"),
    Column("member", TEXT, primary_key=True),
    sqlite_with_rowid=False,
)
offer: Final = Table(
    "offer",
    metadata,
    Column("audience", TEXT, primary_key=True),
    _follows("asset", "asset"),
    _follows("definition", "definition"),
    Index("offer_by_asset", "asset"),
    Index("offer_by_definition", "definition"),
    sqlite_with_rowid=False,
)
