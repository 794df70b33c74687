"""The pages about databases: their commands run, and what they list is all there is."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from connector.cli import main
from connector.storage import invariants

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
BACK_UP, POSTGRES = [(PAGES / name).read_text(encoding="utf-8") for name in ("back-up.md", "run-on-postgresql.md")]
COMMANDS = re.findall(r"```console\n\$ (.+)\n```", BACK_UP + POSTGRES)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "node.toml").write_text(
        f'[node]\ndid = "did:web:a.example"\ndata = {json.dumps(str(tmp_path))}\n[public]\nurl = "https://a.example"\n'
        '[management]\nkey = "env:KEY"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEY", "the-operators-key")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs_as_it_is_written(folder: Path, command: str) -> None:
    made = CliRunner().invoke(main, ["db", "migrate", "--config", str(folder / "node.toml")])
    assert made.exit_code == 0, made.output
    done = CliRunner().invoke(main, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output


def test_every_finding_is_explained() -> None:
    rules = {**invariants._RULES, **invariants._WHILE_RUNNING}  # noqa: SLF001 - the page shows what is inside
    for table, what in rules:
        assert re.search(rf"^\|.*`{table} \.\.\..*{re.escape(what)}`", BACK_UP, re.MULTILINE), (table, what)
