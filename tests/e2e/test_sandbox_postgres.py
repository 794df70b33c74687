"""The sandbox on PostgreSQL: a whole exchange, and nothing left behind."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo_data import PASSPORT_SEMANTIC_ID, passports
from connector.protocol.errors import LocalError
from connector.sandbox.cluster import binaries
from tests.e2e.processes import sandbox
from tests.integration.postgres_cluster import Server


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the server may get to as well, if it is not us who runs it."""
    try:
        binaries()
    except LocalError as error:
        pytest.skip(error.reason)
    made = Path(tempfile.mkdtemp(prefix="connector-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_two_nodes_trade_a_passport_and_find_it_again(folder: Path, tmp_path: Path) -> None:
    payload = tmp_path / "passport.json"
    payload.write_text(json.dumps(passports()[0]))
    semantic = ["--semantic-id", PASSPORT_SEMANTIC_ID]
    with sandbox(folder, "--nodes", "2", "--store", "postgres") as box:
        maker = box.nodes["cell-maker"]
        partner = ["--policy", "by-bpn", "--bpn", box.nodes["oem"]["bpn"]]
        box.json("cell-maker", "publish", str(payload), "--asset-id", "urn:passport:1", *semantic, *partner)
        provider = [maker["dsp"].removesuffix("/2025-1"), "--provider", maker["bpn"]]
        done = box.run("oem", "obtain", *provider, "urn:passport:1", *semantic, "--output", str(tmp_path / "got.json"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads((tmp_path / "got.json").read_text()) == passports()[0]
        assert not list(folder.glob("*/data/*.sqlite"))
        server = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
    with sandbox(folder, "--nodes", "1", "--store", "postgres") as again:
        assert [n["state"] for n in again.json("oem", "negotiation", "list")["items"]] == ["FINALIZED"]


def test_on_a_given_server_each_node_has_a_database_of_the_folder(postgres: Server, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(postgres.url)
    options = ["--nodes", "1", "--store", "postgres", "--postgres-url", f"file:{tmp_path / 'url'}"]
    with sandbox(tmp_path, *options) as box:
        box.json("oem", "offer", "some-asset", "--offer-id", "kept")
        url = (Path(box.nodes["oem"]["folder"]) / "store-url").read_text()
    token = (tmp_path / "databases").read_text()
    found = postgres.execute("SELECT datname FROM pg_database WHERE datname LIKE 'connector%'")
    assert found == [(f"connector_{token}_oem",)]
    assert f"/connector_{token}_oem?" in url
