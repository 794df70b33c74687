"""`connector db`: what it says and how it ends."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connector.cli import main
from connector.exchange.records import Timer
from connector.storage.schema import HEAD
from connector.storage.sqlite import SqliteStore
from connector.wiring import DATABASE


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "node.toml"
    data = json.dumps(str(tmp_path / "data"))
    file.write_text(
        f'[node]\ndid = "did:web:a.example"\ndata = {data}\n[public]\nurl = "https://a.example"\n'
        '[management]\nkey = "env:KEY"\n'
    )
    (tmp_path / "data").mkdir()
    return file


def run(config: Path, *arguments: str) -> Result:
    return CliRunner(env={"KEY": "the-operators-key"}).invoke(main, ["db", *arguments, "--config", str(config)])


def said(config: Path, *arguments: str) -> dict[str, object]:
    done = run(config, *arguments, "--json")
    assert done.exit_code == 0, done.output
    doc: dict[str, object] = json.loads(done.stdout)
    return doc


def test_migrate_says_from_where_to_where_and_does_it_once(config: Path) -> None:
    assert said(config, "migrate", "--dry-run") == {"from": None, "to": HEAD, "changed": False, "newKey": False}
    assert f"from nothing to revision {HEAD} (not done)" in run(config, "migrate", "--dry-run").output
    assert not (config.parent / "data" / DATABASE).exists()
    assert said(config, "migrate")["changed"]
    assert f"it is at revision {HEAD}" in run(config, "migrate").output


def test_a_new_key_is_no_matter_of_sqlite(config: Path) -> None:
    done = run(config, "migrate", "--new-key")
    assert done.exit_code == 1
    assert "--new-key is for PostgreSQL" in done.output


def test_check_has_a_line_for_each_finding_and_a_code(config: Path) -> None:
    assert run(config, "check").exit_code == 1  # there is no database
    run(config, "migrate")
    assert said(config, "check") == {"ok": True, "findings": []}

    async def spoil() -> None:
        store = await SqliteStore.open(config.parent / "data" / DATABASE)
        await store.run(lambda tx: tx.set_timer(Timer("x-1", 1, "k", "nobody")))
        await store.close()

    asyncio.run(spoil())
    done = run(config, "check")
    assert (done.exit_code, done.output) == (1, "timer x-1: it belongs to no process\n")
    found = json.loads(run(config, "check", "--json").stdout)
    assert found == {"ok": False, "findings": [{"table": "timer", "id": "x-1", "what": "it belongs to no process"}]}


def test_backup_makes_a_new_file(config: Path) -> None:
    run(config, "migrate")
    target = config.parent / "copy.sqlite"
    doc = said(config, "backup", str(target))
    assert doc == {"file": str(target), "bytes": target.stat().st_size}
    again = run(config, "backup", str(target))
    assert (again.exit_code, "exists already" in again.output) == (1, True)


def test_where_the_database_is_is_said_in_one_place_only() -> None:
    from connector.cli import db  # noqa: PLC0415 - a command's module, which --help does not import

    assert db.DATABASE == DATABASE
