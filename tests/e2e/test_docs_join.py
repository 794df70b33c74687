"""docs/how-to/join-a-data-space.md, typed by a machine: every block of "sh" runs and prints what the page shows."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from connector.authority.operating import ROUTES
from connector.authority.settings import Settings
from connector.sandbox.ports import Ports
from tests.unit.docs_pages import ROOT, blocks, read, shown

PAGE = "docs/how-to/join-a-data-space.md"
PORTS = ("9100", "9101", "8282", "8181", "8283", "8183")
PATIENCE_S = 60


@contextmanager
def serving(command: str, folder: Path, port: int) -> Iterator[None]:
    with (folder / "authority.log").open("wb") as log:
        process = subprocess.Popen(command.split(), cwd=folder, stdout=log, stderr=log)  # noqa: S603 - from the page
    try:
        end = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0, (folder / "authority.log").read_text()


def typed(commands: str, folder: Path) -> str:
    done = subprocess.run(  # noqa: S603 - from the page
        ["bash", "-eu", "-c", commands],  # noqa: S607 - any bash
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, commands + done.stderr + done.stdout
    return done.stdout.rstrip()


def test_everything_that_is_typed_prints_what_the_page_shows(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    text = read(PAGE)
    with Ports() as ports:
        free = {port: str(ports.take()) for port in PORTS}
        for port, other in free.items():
            text = re.sub(rf"\b{port}\b|(?<=3A){port}\b", other, text)
        text = text.replace("--bdrs", f"--port {free['8282']} --management-port {free['8181']} --bdrs", 1)
        found = [block for block in blocks(text) if block.language in ("sh", "text")]
        setup, serve, *rest = found
        typed(setup.content, tmp_path)
        exports = next(b.content for b in rest if "export" in b.content).splitlines()[0]
        with serving(serve.content.strip(), tmp_path, int(free["9100"])):
            said = ""
            for block in rest:
                if block.language == "sh":
                    said = typed(f"{exports}\n{block.content}", tmp_path)
                else:
                    assert shown(block.content).fullmatch(said), said
    findings = json.loads((tmp_path / "findings.json").read_text())["findings"]
    assert all(f["mend"] for f in findings if f["verdict"] == "bad")


def test_every_setting_and_route_of_an_authority_is_on_the_page() -> None:
    text = read(PAGE)
    assert [f.metadata["key"] for f in fields(Settings) if f"`{f.metadata['key']}`" not in text] == []
    assert [f"{m} {p}" for m, p, _ in ROUTES if f"| {m} | `{p}` |" not in text] == []
    assert (ROOT / PAGE).exists()
