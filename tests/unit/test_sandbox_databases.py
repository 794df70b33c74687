"""Databases for a sandbox that leaves nothing behind, and a server's refusals."""

from pathlib import Path

import pytest

from connector.protocol.errors import LocalError
from connector.sandbox.cluster import cluster, create_database, drop_database
from connector.sandbox.databases import on_postgres
from tests.integration.postgres_cluster import Server

OURS = "SELECT count(*) FROM pg_database WHERE datname LIKE 'connector%oem'"


async def test_without_a_folder_databases_on_a_given_server_are_dropped(postgres: Server) -> None:
    before = postgres.execute(OURS)
    async with on_postgres(postgres.url)(None, ["oem"]) as urls:
        assert list(urls) == ["oem"]
        assert postgres.execute(OURS) != before
    assert postgres.execute(OURS) == before


def test_making_twice_and_dropping_twice_is_no_fault(postgres: Server) -> None:
    assert create_database(postgres.url, 'odd "name') == create_database(postgres.url, 'odd "name')
    for _ in range(2):
        drop_database(postgres.url, 'odd "name')


def test_a_server_that_cannot_be_used_is_told(postgres: Server, tmp_path: Path) -> None:
    postgres.execute("DROP ROLE IF EXISTS guest")
    postgres.execute("CREATE ROLE guest LOGIN")
    with pytest.raises(LocalError, match="refuses: permission denied"):
        create_database(postgres.url.replace("postgres@", "guest@"), "x")
    with pytest.raises(LocalError, match="cannot be used"):
        create_database(f"postgresql:///x?host={tmp_path}", "x")


@pytest.mark.usefixtures("postgres")
def test_a_folder_that_holds_something_else_is_told_with_the_servers_words(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "letters.txt").write_text("x")
    with pytest.raises(LocalError, match=r"no database could be made in .*data\n.*\w"), cluster(tmp_path / "data"):
        pass
