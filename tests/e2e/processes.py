"""The `connector` command as a process, as a person or a script would start it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT_S = 60.0
"""Nothing here takes longer; a test that would wait for ever fails instead."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without the connector's own variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_")} | dict(more or {})


def connector(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "connector", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment(env),
    )


class Box:
    """A running `connector sandbox up --json`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.nodes: dict[str, dict[str, Any]] = {}

    def read(self) -> None:
        """Wait until it says that all nodes are ready."""
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line == "}\n":
                break
        doc = json.loads("".join(said) or "{}")
        assert "nodes" in doc, (doc, self.process.stderr.read() if self.process.stderr and not doc else "")
        self.nodes = {node["name"]: node for node in doc["nodes"]}

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command on one of the nodes."""
        node = self.nodes[name]
        reached = {"CONNECTOR_URL": node["management"], "CONNECTOR_API_KEY": f"file:{node['folder']}/api-key"}
        return connector(*arguments, env=reached)

    def json(self, name: str, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
        """The same with --json, which must succeed."""
        done = self.run(name, *arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit code and what it said after it was ready."""
        stdout, stderr = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, stdout + stderr


@contextmanager
def sandbox(folder: Path, *arguments: str) -> Iterator[Box]:
    """A sandbox in `folder`, ready; it is ended on the way out if the test has not done so."""
    command = [sys.executable, "-m", "connector", "sandbox", "up", "--json", "--dir", str(folder), *arguments]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        box = Box(process)
        try:
            box.read()
            yield box
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=LIMIT_S)


@contextmanager
def serve(config: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A running `connector serve --json`, and the line that it said when it was ready."""
    command = [sys.executable, "-m", "connector", "serve", "--json", "--config", str(config)]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline() or "{}")
        finally:
            process.kill()
