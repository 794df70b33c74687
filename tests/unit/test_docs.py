"""What holds for every page: links lead somewhere, what is named exists, blocks of code are run by a test."""

import ast
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from connector import config
from connector.exchange import events
from connector.metrics.table import TABLE
from docs import generate
from tests.unit.docs_pages import PAGES, ROOT, Block, anchors, blocks, links, name_of, prose, quoted, read, shown

SHOWN = {"text", "mermaid", "sql"}
"""Languages of blocks that are there to be looked at."""
RUN = {"sh", "console", "python"}
"""Languages of blocks that a test of the page runs."""
SECRET = "postgresql://connector:a-password@db.example.com/connector"  # noqa: S105 - an example
LEAST = {"node": {"did": "did:web:a.example", "data": "data"}, "public": {"url": "https://a.example"}}
TESTS = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__)]
PATH = re.compile(r"(?:connector|tests|docs|policies|schemas|docker|requirements)/[\w./-]+")
NAMED = re.compile(r"<!-- written by make docs: ([\w-]+) -->")

every_page = pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in PAGES])
every_block = pytest.mark.parametrize(
    ("page", "block"),
    [
        pytest.param(page, block, id=f"{name_of(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page.read_text(encoding="utf-8")))
    ],
)


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in links(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), path
        assert target.exists(), path
        if line := re.fullmatch(r"L(\d+)", anchor):
            assert int(line[1]) <= target.read_text(encoding="utf-8").count("\n"), f"{path}#{anchor}"
        elif anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{path}#{anchor}"


def test_an_anchor_is_made_as_on_github() -> None:
    page = "# A node, at `last`\n## It's 1.0\n```sh\n# no heading\n```\n## It's 1.0\n### [Linked](a.md) here\n"
    assert anchors(page) == {"a-node-at-last", "its-10", "its-10-1", "linked-here"}


@every_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    for path in filter(PATH.fullmatch, quoted(page.read_text(encoding="utf-8"))):
        assert (ROOT / path).exists(), path


@every_page
def test_every_command_that_is_named_exists(page: Path) -> None:
    there_are = {name for name, _ in generate.commands()}
    text = page.read_text(encoding="utf-8")
    code = [*quoted(text), *(b.content for b in blocks(text) if b.language in RUN)]
    for named in re.findall(r"(?:^|[\s/])connector((?: [a-z][a-z-]*)+)", "\n".join(code), re.MULTILINE):
        words = named.split()
        group = f"connector {words[0]}"
        assert group in there_are, f"connector {named}"
        if len(words) > 1 and any(name.startswith(f"{group} ") for name in there_are):
            assert f"{group} {words[1]}" in there_are, f"connector {named}"


@every_page
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)", prose(page.read_text(encoding="utf-8")))) <= targets


@every_page
def test_every_setting_metric_and_event_that_is_named_exists(page: Path) -> None:
    settings = {key for key, _, _ in config.table()}
    sections = {key.partition(".")[0] for key in settings}
    metrics = {m.name for m in TABLE}
    for named in quoted(page.read_text(encoding="utf-8")):
        section, _, name = named.partition(".")
        if section in sections and re.fullmatch(r"[a-z_]+", name) and name not in {"toml", "py", "sqlite"}:
            assert named in settings
        if re.fullmatch(r"connector_[a-z_]+", named):
            assert named in metrics
        if re.fullmatch(r"(contract\.negotiation|transfer\.process)\.\w+", named):
            assert named in events.NAMES


def test_every_part_that_is_generated_stands_on_a_page() -> None:
    texts = {name_of(page): page.read_text(encoding="utf-8") for page in PAGES}
    assert sorted(part for text in texts.values() for part in NAMED.findall(text)) == sorted(generate.PARTS)
    assert [name for name, text in texts.items() if text.count("\n<!-- end -->\n") != len(NAMED.findall(text))] == []


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("config.md", [key for key, _, _ in config.table()]),
        ("metrics.md", [m.name for m in TABLE]),
        ("events.md", events.NAMES),
    ],
)
def test_everything_is_on_its_page(page: str, names: list[str]) -> None:
    text = read(f"docs/reference/{page}")
    assert [name for name in names if f"| `{name}` |" not in text] == []


def test_every_command_with_its_options_is_on_its_page() -> None:
    text = read("docs/reference/cli.md")
    for name, command in generate.commands():
        if isinstance(command, click.Group):
            continue
        entry = f"{text}\n## ".partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        spelled = {opt for option in command.params for opt in option.opts if opt.startswith("--")}
        everywhere = {"--json"} | ({"--url", "--key"} if "Speaks with a node." in entry else set())
        assert [opt for opt in spelled - everywhere if f"`{opt}" not in entry] == [], name
        assert entry, name
        assert "--json" in spelled, name


@pytest.mark.parametrize("file", sorted((ROOT / "docs" / "openapi").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_route_is_on_its_page(file: Path) -> None:
    text = read("docs/reference/api.md")
    for path, item in yaml.safe_load(file.read_text(encoding="utf-8"))["paths"].items():
        for method in set(item) & {"get", "post", "put", "patch", "delete"}:
            assert f"| {method.upper()} | `{path}` |" in text


@every_page
def test_every_page_can_be_found_from_the_index(page: Path) -> None:
    index = ROOT / "docs" / "index.md"
    reached = {(index.parent / path).resolve() for path, _ in links(index.read_text(encoding="utf-8")) if path}
    assert page in {*reached, index}


# Blocks of code


@pytest.mark.parametrize(
    "output", ["made a.json: 7 bytes", "made a.json: 7 bytes\nand more", "was made a.json: ", "made"]
)
def test_dots_stand_for_any_text_and_alone_for_any_lines(output: str) -> None:
    assert bool(shown("made ...: ... bytes\n").fullmatch(output)) is (output == "made a.json: 7 bytes")
    assert bool(shown("made ...\n...\n").fullmatch(output)) is ("\n" in output)


@every_block
def test_every_block_is_shown_read_or_run(page: Path, block: Block) -> None:
    if block.language in SHOWN:
        assert not block.reason, "nobody expects this to run"
    elif block.language in RUN and not block.reason:
        languages = (f"```{block.language}", f'"{block.language}"')
        run_by = [t for t in TESTS if f"{page.name}" in t and any(language in t for language in languages)]
        assert run_by, f"no test names {page.name} and {block.language}: write one, or <!-- not run: a reason -->"
    else:
        assert block.reason or block.language in READERS, block.language


def read_settings(content: str, folder: Path) -> None:
    (folder / "secret").write_text(SECRET)
    environment = dict.fromkeys(re.findall(r"env:(\w+)", content), SECRET)
    doc: dict[str, Any] = tomllib.loads(re.sub(r"file:[^\"]+", f"file:{folder / 'secret'}", content))
    doc.setdefault("management", {}).setdefault("key", "env:KEY")
    for name, least in LEAST.items():
        doc[name] = least | doc.get(name, {})
    config.parse(doc, {"KEY": SECRET, **environment})


READERS: Mapping[str, Callable[[str, Path], object]] = {
    "toml": read_settings,
    "json": lambda content, _: json.loads(content),
    "yaml": lambda content, _: yaml.safe_load(content),
}
"""Languages of blocks that a reader copies: settings are settings of a node."""


@every_block
def test_every_block_is_what_it_says(page: Path, block: Block, tmp_path: Path) -> None:
    if block.language == "python":
        compile(block.content, name_of(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    elif block.language in READERS and not block.reason:
        READERS[block.language](block.content, tmp_path)
