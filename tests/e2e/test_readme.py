"""The quick tour of README.md, typed by a machine: every block runs, and prints what the page says it prints."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector import config

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
START = ".venv/bin/connector sandbox up --dir .sandbox"
PATIENCE_S = 60
MARK = "--- end of block ---"


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def tour() -> list[tuple[str, str | None]]:
    """(commands, what they print) of each step after the first, which starts the nodes."""
    steps: list[tuple[str, str | None]] = []
    for language, content in blocks(section("Quick tour")):
        if language == "sh":
            steps.append((content, None))
        else:
            steps[-1] = (steps[-1][0], content)
    assert START in steps[0][0]
    return steps[1:]


def pattern(expected: str) -> str:
    """A regular expression of what the page shows: `...` stands for anything."""
    return ".*".join(re.escape(part) for part in expected.strip().split("..."))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A place that looks like the repository from its top, so that the reader's own sandbox is left alone."""
    (tmp_path / "connector").symlink_to(ROOT / "connector")
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    return tmp_path


@pytest.fixture
def sandbox(repository: Path) -> Iterator[Path]:
    log = repository / "sandbox.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(START.split(), cwd=repository, stdout=subprocess.PIPE, stderr=errors) as nodes,  # noqa: S603 - from the page
    ):
        try:
            assert nodes.stdout is not None
            assert nodes.stdout.readline().startswith(b"3 nodes are ready"), log.read_text()
            yield repository
        finally:
            nodes.terminate()
            assert nodes.wait(PATIENCE_S) == 0


def test_the_quick_tour_works_line_by_line(sandbox: Path) -> None:
    steps = tour()
    script = f"echo '{MARK}'\n".join(commands for commands, _ in steps)
    done = subprocess.run(  # noqa: S603 - from the page
        ["bash", "-eu", "-c", script],  # noqa: S607 - any bash
        cwd=sandbox,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = done.stdout.split(f"{MARK}\n")
    assert len(printed) == len(steps)
    for (commands, expected), output in zip(steps, printed, strict=True):
        if expected is not None:
            assert re.match(pattern(expected), output.replace("\r", ""), re.DOTALL), f"{commands}printed\n{output}"


def test_the_example_settings_are_accepted(tmp_path: Path) -> None:
    (key := tmp_path / "api-key").write_text("0123456789")
    (example,) = (content for language, content in blocks(section("Running a node")) if language == "toml")
    assert len([line for line in example.splitlines() if line]) <= 10
    doc = tomllib.loads(example.replace("/run/secrets/api-key", str(key)))
    assert config.parse(doc, {}).management_key == "0123456789"


def test_every_page_that_is_linked_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {*re.findall(r"`make (\w+)`", README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))} <= targets
