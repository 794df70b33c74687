"""A database is made, recognised and migrated."""

import re
import subprocess
import sys

import pytest
from sqlalchemy import Connection, create_engine, text

from connector.storage import schema
from connector.storage.connection import Unavailable


def tables(connection: Connection) -> set[tuple[str, ...]]:
    rows = connection.execute(text("SELECT type, name, tbl_name, sql FROM sqlite_master"))
    return {
        (
            *row[:3],
            re.sub(r"\s+|(?<=\()\s|\s(?=\))", " ", row[3] or "")
            .replace("( ", "(")
            .replace(" )", ")")
            .replace(chr(34), ""),
        )
        for row in rows
    }


def test_all_at_once_and_step_by_step_give_the_same_tables() -> None:
    with create_engine("sqlite://").connect() as once, create_engine("sqlite://").connect() as stepwise:
        schema.bring_up(once)
        schema.migrate(stepwise, "base")
        assert tables(once) == tables(stepwise)
        assert schema.revision(once) == schema.revision(stepwise) == schema.HEAD


def test_the_usual_start_changes_nothing() -> None:
    with create_engine("sqlite://").connect() as connection:
        schema.bring_up(connection)
        before = tables(connection)
        schema.bring_up(connection)
        assert tables(connection) == before


def test_a_database_of_a_newer_version_is_refused() -> None:
    with create_engine("sqlite://").connect() as connection:
        schema.bring_up(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(Unavailable, match=r"revision 9999.*newer version"):
            schema.bring_up(connection)


def test_the_usual_start_does_not_import_alembic() -> None:
    code = (
        "import asyncio, sys\n"
        "from connector.storage.sqlite import SqliteStore\n"
        "async def main():\n"
        "    store = await SqliteStore.open()\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
        "assert not [m for m in sys.modules if m.partition('.')[0] in ('alembic', 'pyld', 'rdflib')]\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)  # noqa: S603 - our own code
