"""One connection to the database, and SQL that is written once.

Statements are built with SQLAlchemy Core, compiled to text once and run on the DB-API connection itself: on the hot
path (a few statements in each of the fourteen transactions of an exchange) building them would cost more than running.
Parameters are named; sqlite3 and psycopg both take a mapping and ignore what a statement does not use.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeVar

from sqlalchemy import Dialect
from sqlalchemy.sql.elements import ClauseElement

from connector.protocol.errors import Conflict, Invalid, LocalError

S = TypeVar("S")
Params = Mapping[str, Any]
Row = tuple[Any, ...]
NOTHING: Final[Params] = {}


class Unavailable(LocalError):
    """The database cannot be used right now (disk full, locked, closed). Nothing was changed; try again later."""

    status: ClassVar[int] = 503
    kind: ClassVar[str] = "ServiceUnavailable"


class Database(Protocol):
    """What is used of a DB-API connection (PEP 249 and its common extension); sqlite3's and psycopg's both have it."""

    def execute(self, sql: str, params: Params = ..., /) -> Any:  # noqa: ANN401 - the drivers' cursors differ in type
        """A cursor with the result."""
        ...

    def cursor(self) -> Any:  # noqa: ANN401 - as above
        """A new cursor."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


@dataclass(frozen=True, slots=True)
class Faults:
    """How a driver says what went wrong: a unique value is taken, a value cannot be kept, our mistake, anything else.

    `lost` tells whether an error has ended the transaction by itself, `spoilt` whether it has made what was done in it
    since the last savepoint worthless (in PostgreSQL every error does).
    """

    taken: type[Exception]
    unfit: tuple[type[Exception], ...]
    mistakes: tuple[type[Exception], ...]
    any: type[Exception]
    lost: Callable[[Any], bool]
    spoilt: Callable[[Any], bool]


class Sql:
    """Compiled statements by name, one collection per dialect, shared by all connections."""

    __slots__ = ("_dialect", "_texts")

    LIMIT: Final = 2048
    """Shapes of queries that are kept; they come from clients, so there is no natural end."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._texts: dict[object, str] = {}

    def compile(self, statement: ClauseElement) -> str:
        """The SQL text, with parameters by name."""
        return str(statement.compile(dialect=self._dialect))

    def get(self, shape: object, build: Callable[[], ClauseElement]) -> str:
        """The text of the statement of this shape; `build` is called when it is new."""
        text = self._texts.get(shape)
        if text is None:
            if len(self._texts) >= self.LIMIT:
                self._texts.clear()
            text = self._texts[shape] = self.compile(build())
        return text


class Connection:
    """A DB-API connection used by one thread. Counts its statements; refuses writes where only reading was asked for.

    Raises Conflict where a value that must be unique is taken, Invalid where the database cannot keep a value, and
    Unavailable for every other error of the database.

    begins: the statement that starts a transaction. reopen: gives a new connection if one can break, else None.
    """

    __slots__ = ("_begins", "_database", "_faults", "_reopen", "lost", "spoilt", "sql", "statements", "writable")

    def __init__(
        self, database: Database, sql: Sql, faults: Faults, begins: str, reopen: Callable[[], Database] | None = None
    ) -> None:
        self._database = database
        self._faults = faults
        self._begins = begins
        self._reopen = reopen
        self.sql = sql
        self.writable = False
        self.lost = False
        """The database has rolled back the transaction by itself: nothing more may be done in it."""
        self.spoilt: Exception | None = None
        """The fault after which the database wants a rollback, to a savepoint at least."""
        self.statements = 0

    def begin(self) -> None:
        """Start a transaction. A connection that has broken meanwhile is replaced: nothing was lost with it."""
        self.lost, self.spoilt = False, None
        try:
            self.control(self._begins)
        except Unavailable:
            if self._reopen is None or not self.lost:
                raise
            self.lost, self.spoilt = False, None
            self._database = self._guarded(self._reopen)
            self.control(self._begins)

    def control(self, text: str) -> None:
        """Run a statement about the transaction itself."""
        self._guarded(lambda: self._database.execute(text, NOTHING))

    def roll_back_to(self, savepoint: str) -> None:
        """Undo what was done since; the transaction is as good as it was there."""
        self.control(f"ROLLBACK TO {savepoint}")
        self.spoilt = None

    def rows(self, text: str, params: Params = NOTHING) -> list[Row]:
        """All rows of a SELECT."""
        rows: list[Row] = self._run(text, params).fetchall()
        return rows

    def row(self, text: str, params: Params = NOTHING) -> Row | None:
        """The first row of a SELECT, or None."""
        row: Row | None = self._run(text, params).fetchone()
        return row

    def change(self, text: str, params: Params = NOTHING) -> int:
        """Run an INSERT, UPDATE or DELETE; the number of rows changed."""
        self._may_write()
        return int(self._run(text, params).rowcount)

    def change_and_read(self, text: str, params: Params = NOTHING) -> list[Row]:
        """Run an INSERT, UPDATE or DELETE with RETURNING; the rows that it returns."""
        self._may_write()
        return self.rows(text, params)

    def change_each(self, text: str, rows: Sequence[Params]) -> None:
        """Run an INSERT, UPDATE or DELETE for each of `rows`."""
        self._may_write()
        if rows:
            self._may_go_on()
            self._guarded(lambda: self._database.cursor().executemany(text, rows))

    def close(self) -> None:
        """Release the connection."""
        self._database.close()

    def _may_write(self) -> None:
        if not self.writable:
            raise LocalError("this transaction may only read: use Store.run to change something")

    def _may_go_on(self) -> None:
        if self.spoilt is not None:
            raise Unavailable("a statement of this transaction has failed, so it cannot go on") from self.spoilt

    def _run(self, text: str, params: Params) -> Any:  # noqa: ANN401 - a cursor, see Database
        self._may_go_on()
        return self._guarded(lambda: self._database.execute(text, params))

    def _guarded(self, do: Callable[[], S]) -> S:
        if self.lost:
            raise Unavailable("the database has given up this transaction")
        self.statements += 1
        try:
            return do()
        except self._faults.any as error:
            named = self._named(error)
            self.lost = self._faults.lost(self._database)
            self.spoilt = named if self._faults.spoilt(self._database) else None
            if named is error:
                raise
            raise named from error

    def _named(self, error: Exception) -> Exception:
        """What the error is called here. Only the first line of its text: PostgreSQL's others repeat values."""
        said = str(error).partition("\n")[0]
        if isinstance(error, self._faults.taken):
            return Conflict(f"this is there already: {said}")
        if isinstance(error, self._faults.unfit):
            return Invalid(f"the database cannot keep this value: {said}")
        if isinstance(error, self._faults.mistakes):
            return error
        return Unavailable(f"the database cannot do this now: {said}")
