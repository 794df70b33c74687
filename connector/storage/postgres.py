"""The store on PostgreSQL: the tables and statements of the SQLite store, on a server.

One node works on a database, guarded by a lock that its writing session holds: two that do not know of each other would
send every message twice. The server gives the lock back when the session ends, however it ended. Sessions that break
are replaced when they are used next; what was going on in them has failed, except that a commit whose answer was lost
may stand: its caller hears Unavailable and, as after any such answer, may ask again. A pooler between node and server
must keep sessions whole (pgbouncer: `pool_mode=session`).

Only `connector.wiring` imports this module, and only for nodes that need it: the driver costs what a start may cost.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.pool import StaticPool

from connector.protocol.errors import Invalid
from connector.storage import schema
from connector.storage.connection import Connection, Faults, Sql, Unavailable
from connector.storage.store import READERS, DatabaseStore

Database = psycopg.Connection[tuple[Any, ...]]
DEFAULTS: Final[Mapping[str, str]] = {"application_name": "connector", "connect_timeout": "10"}
"""What a URL may say otherwise; seconds."""
LOCK_WAIT_MS: Final = 5000
"""How long a node waits for the one before it to be gone: the server notices the end of a session a little later."""
LOCK: Final = 0x64737032
"""With the schema's name it makes up the key of the lock."""
STATEMENTS: Final = 512
"""Prepared statements kept by the server per session."""
FAULTS: Final = Faults(
    taken=psycopg.IntegrityError,
    unfit=(psycopg.DataError, psycopg.errors.ProgramLimitExceeded),  # NUL in a text; a text too long for an index
    mistakes=(psycopg.ProgrammingError, psycopg.InterfaceError, psycopg.NotSupportedError),
    any=psycopg.Error,
    lost=lambda database: database.closed,
    spoilt=lambda database: database.info.transaction_status == TransactionStatus.INERROR,
)
_SQL: Final = Sql(PGDialect_psycopg())  # type: ignore[no-untyped-call]  # SQLAlchemy has not annotated it
_WRITES: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_READS: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LOWERED: Final = """
    CREATE OR REPLACE FUNCTION lowered(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT lower($1 COLLATE {collation}) $$
"""
_JSON_TEXT: Final = r"""
    CREATE OR REPLACE FUNCTION json_text(doc text, path text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
    DECLARE
        value json := regexp_replace(doc, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g');  -- json cannot unpack a NUL
        key text;
    BEGIN
        FOR key IN SELECT json_array_elements_text(path::json) LOOP
            IF json_typeof(value) IS DISTINCT FROM 'object' THEN
                RETURN NULL;
            END IF;
            value := value -> key;
        END LOOP;
        IF json_typeof(value) = 'object' THEN
            value := coalesce(value -> '@id', value -> '@value');
        END IF;
        RETURN CASE json_typeof(value)
            WHEN 'string' THEN value #>> '{}'
            WHEN 'boolean' THEN value::text
            WHEN 'number' THEN CASE  -- as Python writes it: the digits are those of the text, the form differs
                WHEN value::text !~ '[.e]' THEN value::text
                WHEN value::text ~ 'e\d' THEN replace(value::text, 'e', 'e+')
                WHEN abs(value::text::float8) >= 1e15 THEN value::text
                WHEN abs(value::text::float8) < 1e-4 THEN (value::text::float8 + 0)::text
                ELSE regexp_replace(value::text, '\.0$', '')
            END
        END;
    END $$
"""
"""`fields.json_text` for the server."""


class PostgresStore(DatabaseStore):
    """A store in a PostgreSQL database; build it with `open`."""

    @classmethod
    async def open(cls, url: str, *, readers: int = READERS) -> Self:
        """Open the database at `url` (`postgresql://...`). Its tables are created or migrated.

        Raises Invalid if this is no such URL, Unavailable if the server cannot be reached, another node works on the
        database, or a newer version has written it.
        """
        writer, *others = await asyncio.to_thread(_connect, _parameters(url), readers)
        return cls(writer, others)


def _parameters(url: str) -> dict[str, Any]:
    try:
        return {**DEFAULTS, **conninfo_to_dict(url)}
    except psycopg.ProgrammingError:
        # The driver's own words may repeat the password.
        raise Invalid("this is no PostgreSQL URL: use postgresql://user@host:port/database", "/store/url") from None


def _connect(where: Mapping[str, Any], readers: int) -> list[Connection]:
    opened: list[Database] = []
    try:
        opened.append(_to_write(where))
        _bring_up(opened[0])
        opened.extend(_session(where) for _ in range(readers))
    except BaseException as error:
        for database in opened:
            database.close()
        if isinstance(error, psycopg.Error):
            raise Unavailable(f"the database cannot be used: {error}") from error
        raise
    writer, *others = opened
    return [
        Connection(writer, _SQL, FAULTS, _WRITES, partial(_to_write, where)),
        *(Connection(reader, _SQL, FAULTS, _READS, partial(_session, where)) for reader in others),
    ]


def _session(where: Mapping[str, Any]) -> Database:
    """A session without the driver's own transactions."""
    try:
        database: Database = psycopg.connect(**where, autocommit=True, client_encoding="UTF8")
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {str(error).strip()}") from error
    database.prepared_max = STATEMENTS
    return database


def _to_write(where: Mapping[str, Any]) -> Database:
    """The session that writes: it holds the lock, and every commit is on the disk before anybody hears of it."""
    database = _session(where)
    try:
        database.execute("SELECT set_config('lock_timeout', %s, false)", (str(LOCK_WAIT_MS),))
        database.execute("SELECT pg_advisory_lock(%s, hashtext(current_schema()))", (LOCK,))
        database.execute("RESET lock_timeout")
        database.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    except BaseException as error:
        name = database.info.dbname if not database.closed else "?"
        database.close()
        if isinstance(error, psycopg.errors.LockNotAvailable):
            raise Unavailable(
                f"another node works on the database {name}: stop it, or give this node another one"
            ) from error
        raise
    return database


def _bring_up(database: Database) -> None:
    row = database.execute("SHOW server_encoding").fetchone()
    if row != ("UTF8",):
        raise Unavailable(f"the database has the encoding {row and row[0]}: create it with ENCODING 'UTF8'")
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: database, poolclass=StaticPool, use_native_hstore=False
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        schema.bring_up(connection)
    with database.transaction():
        database.execute(_LOWERED.format(collation=_collation(database)))
        database.execute(_JSON_TEXT)


def _collation(database: Database) -> str:
    """One that knows the small form of all letters; a database whose own is C only knows those of ASCII."""
    found = database.execute(
        "SELECT collname FROM pg_collation WHERE collname IN ('und-x-icu', 'pg_c_utf8') ORDER BY collname DESC"
    ).fetchone()
    return '"default"' if found is None else f'"{found[0]}"'
