"""The page about passports says what the commands and the tables do."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from connector.cli import main
from connector.passport.audiences import lattice
from connector.passport.disclosure import COMMERCIAL, class_map
from tests.unit.passport_world import bundle
from tests.unit.test_cli_passport import write

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "publish-passports.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ connector (.+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_on_the_page_exists_with_its_options(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("passport.json", "bundle.json"):
        write(tmp_path / name, {})
    command: click.Command = main
    arguments = shlex.split(line)
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), arguments.pop(0))
        assert found is not None
        command = found
    assert command.make_context("it", arguments).params


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first column is called so, header and rule included."""
    begun = PAGE.split("\n\n")
    (found,) = [block for block in begun if block.startswith(f"| {first} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]


def test_the_table_of_ready_terms_is_the_one_of_the_commands() -> None:
    _, _, *rows = table("`--for`")
    said = {
        reader.strip("` "): tuple(re.findall(r"`([\w-]+)`$", cell)[0] for cell in cells)
        for readers, *cells in rows
        for reader in readers.split(",")
    }
    rules = lattice().rules.items()
    assert said == {
        f"{audience}:{purpose}".rstrip(":"): (rule.terms.access, rule.terms.usage)
        for (audience, purpose), rule in rules
        if rule.terms is not None
    }


def test_the_table_of_audiences_is_the_lattice() -> None:
    header, _, *rows = table("Class")
    purposes = {
        "everybody": ("public", ""),
        "interest": ("interest", "recycle"),
        "authority": ("authority", "surveillance"),
    }
    for row in rows:
        name = row[0].strip("`")
        for column, who in purposes.items():
            rule = lattice().rule(*who)
            assert rule is not None
            assert (row[header.index(column)] == "yes") is (name in rule.classes), (name, column)
    named = {row[0].strip("`") for row in rows}
    assert named == {n for n in class_map().classes if not n.startswith(COMMERCIAL)} | {f"{COMMERCIAL}*"}


def test_verify_prints_what_the_page_shows(tmp_path: Path) -> None:
    file = write(tmp_path / "bundle.json", bundle().to_json())
    said = CliRunner().invoke(main, ["passport", "verify", str(file)]).output
    shown = re.search(r"passport verify bundle.json\n(.+)#\.\.\.", PAGE)
    assert shown is not None
    assert said.startswith(shown[1])
