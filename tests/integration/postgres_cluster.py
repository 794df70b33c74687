"""A PostgreSQL server for a run of the tests, and a database for each test that asks for one."""

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from connector.protocol.errors import LocalError
from connector.sandbox.cluster import binaries, cluster, create_database, drop_database, url_of
from connector.storage.postgres import PostgresStore
from connector.storage.tables import metadata

TEMPLATE = "migrated"
DISCONNECT = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
HAS_ICU_DATABASES = 150000


class Server:
    """Databases with all tables and nothing in them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = itertools.count()
        self._free: list[str] = []
        _make_template(url)
        with ThreadPoolExecutor(1) as aside:  # fixtures may be asked for from within an event loop
            aside.submit(lambda: asyncio.run(_migrate(url_of(url, TEMPLATE)))).result()

    @contextmanager
    def database(self) -> Iterator[str]:
        """A database for one test, which may change rows but no tables: emptying is faster than copying."""
        url = self._free.pop() if self._free else create_database(self.url, self._name(), template=TEMPLATE)
        yield url
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(DISCONNECT)
            for table in metadata.sorted_tables:
                session.execute(SQL("DELETE FROM {}").format(Identifier(table.name)))
        self._free.append(url)

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """A database without any tables."""
        name = self._name()
        yield create_database(self.url, name)
        drop_database(self.url, name)

    def _name(self) -> str:
        return f"test-{next(self._numbers)}"

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        """Do something as the server's operator."""
        with psycopg.connect(self.url, autocommit=True) as session:
            cursor = session.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


def _make_template(url: str) -> None:
    """One that sorts as dictionaries do where the server can: nothing may depend on how the database is set up."""
    with psycopg.connect(url, autocommit=True) as session:
        icu = session.execute("SELECT true FROM pg_collation WHERE collname = 'und-x-icu'").fetchone()
        how = " LOCALE_PROVIDER icu ICU_LOCALE 'en'" if icu and session.info.server_version >= HAS_ICU_DATABASES else ""
        session.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0 ENCODING 'UTF8'{how}".encode())


async def _migrate(url: str) -> None:
    store = await PostgresStore.open(url)
    await store.close()


@contextmanager
def server() -> Iterator[Server]:
    """A server for tests; they are skipped where PostgreSQL is not installed."""
    try:
        binaries()
    except LocalError as error:
        pytest.skip(error.reason)
    with cluster(durable=False) as url:
        yield Server(url)
