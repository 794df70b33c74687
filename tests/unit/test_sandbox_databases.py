"""Databases for a sandbox that leaves nothing behind, and a server's refusals."""

import os
import select
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

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


@pytest.mark.skipif(sys.platform != "linux", reason="waits for a process that is not a child of ours")
@pytest.mark.usefixtures("postgres")
def test_no_server_outlives_the_process_that_wanted_it() -> None:
    program = (
        "import sys\nfrom connector.sandbox.cluster import cluster\n"
        "with cluster(durable=False) as url:\n    print(url, flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # noqa: S603 - ours
        assert child.stdout is not None
        folder = Path(parse_qs(urlsplit(child.stdout.readline().decode().strip()).query)["host"][0])
        server = os.pidfd_open(int((folder / "data" / "postmaster.pid").read_text().splitlines()[0]))
        try:
            child.kill()
            assert select.select([server], [], [], 60)[0], "the server is still there"
        finally:
            os.close(server)
