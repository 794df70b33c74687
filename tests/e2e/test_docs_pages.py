"""The README, the tutorial and the how-tos that need nodes, typed by a machine from top to bottom.

Every block of "sh" and "python" runs, in one shell and on one sandbox, and prints what the block after it shows.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.docs_pages import ROOT, blocks, read, section, shown

START = re.compile(r"^\.venv/bin/connector sandbox up .*$", re.MULTILINE)
PATIENCE_S = 60
MARK = "--- end of block ---"
TOURS = {
    "README.md": [section(read("README.md"), "Quick tour")],
    "tutorial.md, offer-a-passport.md, fetch-a-passport.md": [
        read("docs/tutorial.md"),
        read("docs/how-to/offer-a-passport.md"),
        read("docs/how-to/fetch-a-passport.md"),
    ],
}
"""Pages that are read one after another; the first one starts the nodes."""
Step = tuple[str, str | None]


def steps(pages: list[str]) -> list[Step]:
    """(commands, what they print, if that is shown) of each block."""
    found: list[Step] = []
    for block in (block for page in pages for block in blocks(page)):
        if block.reason:
            continue
        if block.language == "text":
            found[-1] = (found[-1][0], block.content)
        elif block.language == "python":
            found.append((f".venv/bin/python - <<'END OF PROGRAM'\n{block.content}END OF PROGRAM\n", None))
        else:
            assert block.language == "sh", block.language
            found.append((block.content, None))
    return found


@contextmanager
def sandbox(step: Step, folder: Path) -> Iterator[None]:
    """The nodes that the first block of a tour starts; `make setup` in front of it has been done."""
    (command,) = START.findall(step[0])
    log = folder / "sandbox.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(command.split(), cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True) as nodes,  # noqa: S603 - from the page
    ):
        try:
            assert nodes.stdout is not None
            said = nodes.stdout.readline()
            assert re.match(r"\d+ nodes are ready", said), log.read_text()
            said += "".join(nodes.stdout.readline() for _ in range(2 + int(said.split()[0])))
            assert step[1] is None or shown(step[1]).fullmatch(said.rstrip()), said
            yield
        finally:
            nodes.terminate()
            assert nodes.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("tour", TOURS)
def test_everything_that_is_typed_prints_what_the_page_shows(tour: str, tmp_path: Path) -> None:
    for name in ("connector", "policies", "schemas"):  # as at the top of the repository
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    first, *others = steps(TOURS[tour])
    script = f"echo '{MARK}'\n".join(commands for commands, _ in others)
    with sandbox(first, tmp_path):
        done = subprocess.run(  # noqa: S603 - from the pages
            ["bash", "-eu", "-c", script],  # noqa: S607 - any bash
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    printed = done.stdout.split(f"{MARK}\n")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr + printed[-1]
    assert len(printed) == len(others)
    for (commands, expected), output in zip(others, printed, strict=True):
        if expected is not None:
            assert shown(expected).fullmatch(output.replace("\r", "").rstrip()), f"{commands}printed\n{output}"
