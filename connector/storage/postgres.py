"""The store on PostgreSQL: the tables and statements of the SQLite store, on a server.

One node works on a database, as one process or as several (`replicas`). Sessions that break are replaced when they are
used next; what was going on in them has failed, except that a commit whose answer was lost may stand: its caller hears
Unavailable and may ask again, and the replica looks anew for everything that was promised. A pooler between node and
server must keep sessions whole (pgbouncer: `pool_mode=session`).

Only `connector.wiring` imports this module, and only for nodes that need it: the driver costs what a start may cost.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Self, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.pool import StaticPool
from typing_extensions import override

from connector.protocol.errors import Invalid
from connector.storage import schema
from connector.storage.connection import Connection, Faults, Sql, Unavailable
from connector.storage.jobs import Queue, Worker
from connector.storage.replica_tx import ReplicaTx
from connector.storage.replicas import TABLES, WRITER, Database, Replica
from connector.storage.store import READERS, SharedStore, Writing

DEFAULTS: Final[Mapping[str, str]] = {
    "application_name": "connector",
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}
"""What a URL may say otherwise; seconds. Either side notices within some ten seconds that the other's host is gone."""
SETTINGS: Final[Mapping[str, str]] = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "30s",  # also while a session waits for another replica's end
    "statement_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "0",
}
"""Of every session, where the server knows them."""
WRITER_SETTINGS: Final[Mapping[str, str]] = {"lock_timeout": "10s", "idle_in_transaction_session_timeout": "5s"}
"""A replica that stalls while it holds the writer's lock is cut off before the others give up."""
TABLES_WAIT: Final = "5s"
"""How long a node that would change the tables waits for replicas to be gone."""
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
SQL: Final = Sql(PGDialect_psycopg())  # type: ignore[no-untyped-call]  # SQLAlchemy has not annotated it
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_WRITES: Final = f"{_BEGIN}; SELECT pg_advisory_xact_lock({WRITER})"
READS: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
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


class PostgresStore(SharedStore):
    """A store in a PostgreSQL database; build it with `open`."""

    def __init__(self, where: Mapping[str, Any], writer: Connection, aside: Connection, *readers: Connection) -> None:
        super().__init__(writer, readers, transactions=ReplicaTx)
        self._aside = aside
        self._to_note: Queue = Queue()
        self._noting = Worker("store-aside", self._to_note, Writing(aside, ReplicaTx), self._report, at_once=1)
        self._replica = Replica(partial(_session_on_tables, where), self.run, self._tell_all)

    @classmethod
    async def open(cls, url: str, *, readers: int = READERS) -> Self:
        """Open the database at `url` (`postgresql://...`). Its tables are created or migrated.

        Raises Invalid if this is no such URL, Unavailable if the server cannot be reached, the tables are to be changed
        while replicas run, or a newer version has written them.
        """
        where = parameters(url)
        store = cls(where, *await asyncio.to_thread(_connect, where, readers))
        try:
            await store._replica.start()
        except BaseException:
            await store.close()
            raise
        return store

    @property
    @override
    def statements(self) -> int:
        return super().statements + self._aside.statements

    @override
    async def belong(self, did: str, kid: str) -> None:
        await self.run(lambda tx: cast("ReplicaTx", tx).belong(did, kid))

    @override
    async def first_use(self, key: str, *, until_s: int, now_s: int) -> bool:
        # It waits for no disk and no lock: what a crash of the server makes it forget is a fraction of a second.
        return await self._put(
            self._to_note, lambda tx: cast("ReplicaTx", tx).use_token(key, until_s, now_s), reads=False
        )

    @override
    async def close(self) -> None:
        if not self._closed:
            await self._replica.close()
        await super().close()

    @override
    def _disconnect(self) -> None:
        self._noting.end()
        self._noting.join()
        self._aside.close()
        super()._disconnect()
        self._replica.disconnect()

    @override
    def _doubt(self) -> None:
        self._replica.doubt()


def parameters(url: str) -> dict[str, Any]:
    """What to connect with. Raise Invalid if `url` is none of PostgreSQL's."""
    try:
        return {**DEFAULTS, **conninfo_to_dict(url)}
    except psycopg.ProgrammingError:
        # The driver's own words may repeat the password.
        raise Invalid("this is no PostgreSQL URL: use postgresql://user@host:port/database", "/store/url") from None


def session(url: str) -> Database:
    """A session of one's own. Raise Invalid if this is no such URL, Unavailable if the server cannot be reached."""
    return _session(parameters(url))


def _connect(where: Mapping[str, Any], readers: int) -> list[Connection]:
    """The connection that writes, the one for what need not last, and those that read."""
    opened: list[Database] = []
    try:
        with _session_on_tables(where) as first, first.transaction():
            first.execute(f"SELECT pg_advisory_xact_lock({WRITER})".encode())
            first.execute(_LOWERED.format(collation=_collation(first)).encode())
            first.execute(_JSON_TEXT)
        opened.extend(make(where) for make in (_to_write, _to_note, *[_session] * readers))
    except BaseException as error:
        for database in opened:
            database.close()
        if isinstance(error, psycopg.Error):
            raise Unavailable(f"the database cannot be used: {error}") from error
        raise
    writer, aside, *others = opened
    return [
        Connection(writer, SQL, FAULTS, _WRITES, partial(_to_write, where)),
        Connection(aside, SQL, FAULTS, _BEGIN, partial(_to_note, where)),
        *(Connection(reader, SQL, FAULTS, READS, partial(_session, where)) for reader in others),
    ]


def _session(where: Mapping[str, Any], settings: Mapping[str, str] = SETTINGS) -> Database:
    """A session without the driver's own transactions."""
    try:
        database: Database = psycopg.connect(**where, autocommit=True, client_encoding="UTF8")
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {str(error).strip()}") from error
    database.prepared_max = STATEMENTS
    for name, value in settings.items():
        database.execute(
            "SELECT set_config(name, %s, false) FROM pg_settings WHERE name = %s AND context = 'user'", (value, name)
        )
    return database


def _to_write(where: Mapping[str, Any]) -> Database:
    """The session that writes: every commit is on the disk before anybody hears of it."""
    database = _session(where, {**SETTINGS, **WRITER_SETTINGS})
    database.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    return database


def _to_note(where: Mapping[str, Any]) -> Database:
    """The session that writes what need not survive the server."""
    return _session(where, {**SETTINGS, "synchronous_commit": "off"})


def _session_on_tables(where: Mapping[str, Any]) -> Database:
    """A session with the right tables, brought up first if need be, which stay as they are while it lasts."""
    session = _session(where)
    try:
        while True:
            session.execute(f"SELECT pg_advisory_lock_shared({TABLES})".encode())
            if revision(session) == schema.HEAD:
                return session
            session.execute(f"SELECT pg_advisory_unlock_shared({TABLES})".encode())
            bring_up(session)
    except BaseException as error:
        session.close()
        if isinstance(error, psycopg.Error):
            raise Unavailable(f"the database cannot be used: {error}") from error
        raise


def revision(session: Database) -> str | None:
    """The revision of the tables, None if there are none."""
    if session.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    row = session.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def bring_up(session: Database) -> None:
    """Create or migrate the tables, alone. Raise Unavailable while replicas run, or if a newer version wrote them."""
    row = session.execute("SHOW server_encoding").fetchone()
    if row != ("UTF8",):
        raise Unavailable(f"the database has the encoding {row and row[0]}: create it with ENCODING 'UTF8'")
    session.execute("SELECT set_config('lock_timeout', %s, false)", (TABLES_WAIT,))
    try:
        session.execute(f"SELECT pg_advisory_lock({TABLES})".encode())
    except psycopg.errors.LockNotAvailable as error:
        raise Unavailable(
            f"replicas of this node work on the database {session.info.dbname}: stop all of them, its tables are to"
            f" be brought from revision {revision(session)} to {schema.HEAD}"
        ) from error
    try:
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: session, poolclass=StaticPool, use_native_hstore=False
        )
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            schema.bring_up(connection)
    finally:
        session.execute(f"SELECT pg_advisory_unlock({TABLES})".encode())
        session.execute("SELECT set_config('lock_timeout', '0', false)")


def _collation(database: Database) -> str:
    """One that knows the small form of all letters; a database whose own is C only knows those of ASCII."""
    found = database.execute(
        "SELECT collname FROM pg_collation WHERE collname IN ('und-x-icu', 'pg_c_utf8') ORDER BY collname DESC"
    ).fetchone()
    return '"default"' if found is None else f'"{found[0]}"'
