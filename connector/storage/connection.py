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

from connector.protocol.errors import Conflict, LocalError

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
    """How a driver says what went wrong: a unique value is taken, our mistake, anything else.

    `lost` tells whether an error has ended the transaction by itself.
    """

    taken: type[Exception]
    mistakes: tuple[type[Exception], ...]
    any: type[Exception]
    lost: Callable[[Any], bool]


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

    Raises Conflict where a value that must be unique is taken, and Unavailable for every other error of the database.
    """

    __slots__ = ("_database", "_faults", "lost", "sql", "statements", "writable")

    def __init__(self, database: Database, sql: Sql, faults: Faults) -> None:
        self._database = database
        self._faults = faults
        self.sql = sql
        self.writable = False
        self.lost = False
        """The database has rolled back the transaction by itself: nothing more may be done in it."""
        self.statements = 0

    def control(self, text: str) -> None:
        """Run a statement about the transaction itself."""
        self._run(text, NOTHING)

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

    def change_each(self, text: str, rows: Sequence[Params]) -> None:
        """Run an INSERT, UPDATE or DELETE for each of `rows`."""
        self._may_write()
        if rows:
            self._guarded(lambda: self._database.cursor().executemany(text, rows))

    def close(self) -> None:
        """Release the connection."""
        self._database.close()

    def _may_write(self) -> None:
        if not self.writable:
            raise LocalError("this transaction may only read: use Store.run to change something")

    def _run(self, text: str, params: Params) -> Any:  # noqa: ANN401 - a cursor, see Database
        return self._guarded(lambda: self._database.execute(text, params))

    def _guarded(self, do: Callable[[], S]) -> S:
        if self.lost:
            raise Unavailable("the database has given up this transaction")
        self.statements += 1
        try:
            return do()
        except self._faults.taken as error:
            raise Conflict(f"this is there already: {error}") from error
        except self._faults.mistakes:
            raise
        except self._faults.any as error:
            self.lost = self._faults.lost(self._database)
            raise Unavailable(f"the database cannot do this now: {error}") from error
