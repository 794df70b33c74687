"""The page about validation says what the commands do."""

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from connector.cli import main
from connector.demo_data import footprint
from connector.exchange.records import Validation
from connector.semantics.registry import bundled
from connector.semantics.samm.modes import Rules
from tests.unit.samm_world import SAMM

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "validate-payloads.md").read_text(encoding="utf-8")
CONSOLES = re.findall(r"```console\n\$ (.+)\n((?:.*\n)*?)```", PAGE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    spoilt = {**footprint(), "pcf": {}}
    (tmp_path / "footprint.json").write_text(json.dumps(footprint()))
    (tmp_path / "payloads.jsonl").write_text(
        "".join(
            json.dumps(line) + "\n" for line in ({"id": "a", "payload": footprint()}, {"id": "b", "payload": spoilt})
        )
    )
    (tmp_path / "tyre.json").write_text("{}")
    model = tmp_path / "models" / "org.example.tyre" / "1.0.0"
    model.mkdir(parents=True)
    (model / "Tyre.ttl").write_text(
        SAMM.replace("org.example:1.0.0", "org.example.tyre:1.0.0") + ":Tyre a samm:Aspect ; samm:properties () ."
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("command", "told"), CONSOLES, ids=[command.split()[2] for command, _ in CONSOLES])
def test_what_the_page_shows_is_what_happens(command: str, told: str) -> None:
    done = CliRunner().invoke(main, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    assert done.stdout == told or not told


def test_the_line_about_a_fault_is_such_a_line(folder: Path) -> None:
    payload = footprint()
    payload["pcf"]["declaredUnit"] = "barrel"
    (folder / "footprint.json").write_text(json.dumps(payload))
    done = CliRunner().invoke(main, shlex.split(CONSOLES[0][0])[1:])
    assert done.exit_code == 1
    (shown,) = re.findall(r"```text\n(.*), \.\.\.\n```", PAGE)
    assert done.stdout.startswith(shown)


def test_every_rule_is_on_the_page() -> None:
    table = PAGE.partition("## How strict")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == [
        rule.name.replace("_", "-") for rule in fields(Rules)
    ]


def test_every_rule_of_serving_is_on_the_page() -> None:
    table = PAGE.partition("## What a node validates")[2]
    assert re.findall(r"^\| `([a-z-]+)` \| [^W]", table, re.MULTILINE) == [mode.value for mode in Validation]


def test_every_delivered_model_is_on_the_page() -> None:
    versions = {urn.rpartition(":")[2].partition("#")[0] for urn in bundled().semantic_ids}
    assert all(version in PAGE for version in versions)
