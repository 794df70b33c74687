import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from connector import config
from connector.cli import main
from connector.cli.settings import EXAMPLE


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"CONNECTOR_API_KEY": "a-good-long-key", "CONNECTOR_CONFIG": None})


def test_the_example_has_ten_lines_and_is_right(runner: CliRunner, tmp_path: Path) -> None:
    example = runner.invoke(main, ["config", "example"]).output
    assert len(example.splitlines()) == 10
    (tmp_path / "node.toml").write_text(example)
    done = runner.invoke(main, ["config", "check", str(tmp_path / "node.toml")])
    assert done.exit_code == 0
    assert "did:web:connector.example.com" in done.output
    as_json = json.loads(runner.invoke(main, ["config", "example", "--json"]).output)
    assert tomllib.loads(as_json["toml"]) == tomllib.loads(EXAMPLE)


def test_a_misspelt_setting_is_refused_with_the_right_one(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(EXAMPLE.replace("host =", "hots ="))
    done = runner.invoke(main, ["config", "check", str(file)])
    assert done.exit_code == 1
    assert "did you mean public.host?" in done.stderr
    doc = json.loads(runner.invoke(main, ["config", "check", "--json", str(file)]).stdout)
    assert doc["errors"][0]["path"] == "/public/hots"


def test_the_list_has_every_setting(runner: CliRunner) -> None:
    rows = json.loads(runner.invoke(main, ["config", "list", "--json"]).stdout)
    assert [row["key"] for row in rows] == [key for key, _, _ in config.table()]
    shown = runner.invoke(main, ["config", "list"]).output
    assert all(f"\n{key} " in shown for key, _, _ in config.table())


def test_key_show_prints_the_document_and_keeps_the_key(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(EXAMPLE.replace("/var/lib/connector", str(tmp_path / "data")))
    first, second = (runner.invoke(main, ["key", "show", "--config", str(file)]) for _ in range(2))
    assert first.exit_code == 0, first.output
    document = json.loads(first.stdout)
    assert document["id"] == "did:web:connector.example.com"
    assert "d" not in document["verificationMethod"][0]["publicKeyJwk"]
    assert document == json.loads(second.stdout)


def test_key_rotate_puts_a_new_key_first_and_says_what_to_keep(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(EXAMPLE.replace("/var/lib/connector", str(tmp_path / "data")))
    show, rotate = (["key", word, "--config", str(file), "--json"] for word in ("show", "rotate"))
    before = json.loads(runner.invoke(main, show).stdout)["assertionMethod"]
    done = json.loads(runner.invoke(main, rotate).stdout)
    after = json.loads(runner.invoke(main, show).stdout)
    assert after["assertionMethod"] == [done["kid"], *before] == [done["kid"], *done["formerKids"]]
    assert after["authentication"] == after["capabilityInvocation"] == [done["kid"]]
    said = runner.invoke(main, rotate[:-1]).output
    assert "from its next start on it signs with did:web:connector.example.com#" in said
    assert f"published besides  {done['kid']}" in said
    assert said.splitlines()[-1].endswith("signing-key.former.json")


def test_serve_refuses_settings_that_are_not_right(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('[node]\ndid = "did:web:x.example"\n')
    done = runner.invoke(main, ["serve", "--config", str(file)])
    assert done.exit_code == 1
    assert "node.data is required" in done.stderr
