"""Brings the tables of a database to what the code expects.

alembic costs a quarter of a second and 20 MB to import, so it is only imported when there is something to migrate. The
usual start reads one row; a new database gets all tables at once and the mark of the newest revision. A test holds both
ways, at once and step by step, to the same tables.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from connector.storage.connection import Unavailable
from connector.storage.tables import metadata

HEAD: Final = "0008"
"""The newest revision in `migrations/versions`."""
_VERSIONS: Final = (
    "CREATE TABLE alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""As alembic itself writes it."""


def bring_up(connection: Connection) -> None:
    """Create or migrate the tables; one transaction, committed here.

    Raises Unavailable if the database was written by a newer version of the connector.
    """
    found = revision(connection)
    if found is None:
        metadata.create_all(connection)
        connection.execute(text(_VERSIONS))
        connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": HEAD})
    elif found != HEAD:
        migrate(connection, found)
    connection.commit()


def revision(connection: Connection) -> str | None:
    """The revision the database is at, None if it is new."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def migrate(connection: Connection, found: str) -> None:
    """Run the revisions after `found`; "base" means all of them."""
    from alembic import command  # noqa: PLC0415 - costs 235 ms, and almost never has anything to do
    from alembic.config import Config  # noqa: PLC0415 - as above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found != "base" and found not in known:
        raise Unavailable(
            f"the database is at revision {found}, this version knows {', '.join(sorted(known))}: "
            "a newer version has written it, start that one"
        )
    command.upgrade(config, HEAD)
