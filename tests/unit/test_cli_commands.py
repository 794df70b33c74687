"""Every command has help, --json and an exit code that means something."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from connector.cli import COMMANDS, main
from connector.cli.connection import KEY_VARIABLE, URL_VARIABLE
from connector.cli.terminal import Said, say

NOWHERE = "http://127.0.0.1:9/management"


def commands(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name), command


ALL = dict(commands(main))


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name in (URL_VARIABLE, KEY_VARIABLE, "CONNECTOR_CONFIG", "CONNECTOR_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)
    return CliRunner()


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_command_has_help_and_json(runner: CliRunner, names: tuple[str, ...]) -> None:
    assert ALL[names].help
    assert any("--json" in param.opts for param in ALL[names].params)
    shown = runner.invoke(main, [*names, "--help"])
    assert shown.exit_code == 0
    assert "--json" in shown.output


def test_the_help_lists_every_command(runner: CliRunner) -> None:
    shown = runner.invoke(main, ["--help"]).output
    assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    heavy = ["aiohttp", "rich", "sqlalchemy", "cryptography", "structlog", "connector.wiring"]
    script = (
        "import sys\nfrom connector.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_command_that_does_not_exist_is_a_usage_error(runner: CliRunner) -> None:
    assert runner.invoke(main, ["nonesuch"]).exit_code == 2


def test_without_a_key_the_command_says_how_to_give_one(runner: CliRunner) -> None:
    done = runner.invoke(main, ["asset", "list"])
    assert done.exit_code == 2
    assert "--key file:PATH" in done.output
    assert KEY_VARIABLE in done.output


def test_a_key_on_the_command_line_is_refused_without_repeating_it(runner: CliRunner) -> None:
    done = runner.invoke(main, ["asset", "list", "--key", "the-secret-itself"])
    assert done.exit_code == 2
    assert "the-secret-itself" not in done.output


def test_a_key_that_is_named_but_missing_is_a_refusal(runner: CliRunner) -> None:
    done = runner.invoke(main, ["asset", "list", "--key", "env:NO_SUCH_VARIABLE"])
    assert (done.exit_code, done.stderr) == (1, "error: the environment has no NO_SUCH_VARIABLE\n")


@pytest.mark.parametrize("form", ["plain", "file"])
def test_a_node_that_is_not_there_is_a_refusal(runner: CliRunner, tmp_path: Path, form: str) -> None:
    (tmp_path / "key").write_text("a-good-long-key")
    key = "a-good-long-key" if form == "plain" else f"file:{tmp_path / 'key'}"
    done = runner.invoke(main, ["asset", "list"], env={KEY_VARIABLE: key, URL_VARIABLE: NOWHERE})
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {NOWHERE} cannot be reached")


def test_a_refusal_is_json_where_json_was_asked_for(runner: CliRunner) -> None:
    done = runner.invoke(main, ["asset", "list", "--json", "--url", NOWHERE], env={KEY_VARIABLE: "a-good-long-key"})
    assert done.exit_code == 1
    doc = json.loads(done.stdout)
    assert doc["status"] == 0
    assert "cannot be reached" in doc["errors"][0]["message"]


def test_a_file_that_is_no_json_is_a_usage_error(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "passport.json"
    file.write_text("{")
    options = ["--asset-id", "a", "--semantic-id", "urn:samm:x:1.0.0#X"]
    done = runner.invoke(main, ["publish", str(file), *options], env={KEY_VARIABLE: "a-good-long-key"})
    assert done.exit_code == 2
    assert "is not JSON" in done.output


def test_a_table_in_a_pipe_is_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    say(Said({}, ["two"], ("name", "n"), [("long name", 1), ("b", 20)]), as_json=False)
    assert capsys.readouterr().out == "two\nname       n\nlong name  1\nb          20\n"


def test_an_answer_that_is_not_good_leaves_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        say(Said({"ok": False}, ok=False), as_json=True)
    assert left.value.code == 1
    assert json.loads(capsys.readouterr().out) == {"ok": False}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--store", "postgres", "--postgres-url", "env:NO_SUCH_VARIABLE"], "no NO_SUCH_VARIABLE"),
        (["--store", "postgres", "--postgres-url", "http://me:hidden@h/d"], "no PostgreSQL URL"),
        (["--nodes", "1", "--pair-file", "pair.json"], "a pair needs at least two nodes"),
    ],
)
def test_the_sandbox_refuses_what_it_cannot_do(runner: CliRunner, options: list[str], told: str) -> None:
    done = runner.invoke(main, ["sandbox", "up", *options])
    assert done.exit_code == 1
    assert told in done.stderr
    assert "hidden" not in done.output


def test_a_sandbox_without_postgresql_says_what_to_install(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("connector.sandbox.cluster.DEBIAN", tmp_path)
    done = runner.invoke(main, ["sandbox", "up", "--store", "postgres"])
    assert done.exit_code == 1
    assert "apt-get install postgresql" in done.stderr
    assert "--postgres-url" in done.stderr
