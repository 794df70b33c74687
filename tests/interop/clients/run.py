"""The Python clients of the field against our management API, unmodified: tractusx-sdk and edc-client from PyPI.

They need a newer Python than we do, and packages that must not become ours: so they get an environment of their own,
build/clients-venv, from requirements/clients.lock. Each client then gets a fresh data space of three nodes on loopback,
and its cases run under its own Python, as a user's program would.

    ok|FAIL|skip  <client>  <case>  <milliseconds>

Exit code 0 if none failed. What cannot be had here, a Python >= 3.12 or the packages, is told and skipped.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from connector.protocol.errors import LocalError  # noqa: E402 - after the path is set
from connector.sandbox.nodes import sandbox  # noqa: E402 - after the path is set

CLIENTS: Final = {"tractusx-sdk": "tractusx", "edc-client": "edc"}
LOCK: Final = ROOT / "requirements" / "clients.lock"
VENV: Final = ROOT / "build" / "clients-venv"
STAMP: Final = VENV / ".installed"
OUT: Final = ROOT / "build" / "clients"
ROLES: Final = {"consumer": "oem", "provider": "cell-maker", "mortal": "cathode-supplier"}
TOKEN_LIFETIME_S: Final = 1
"""Short, so that cases see tokens expire."""
NEW_ENOUGH: Final = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 12))"
INSTALL_S: Final = 300
ASK_S: Final = 20


class NotHereError(Exception):
    """The clients cannot be had on this machine, for the reason given."""


def _candidates() -> Iterator[str]:
    yield from ("python3.13", "python3.12", "python3")
    for folder in sorted(Path.home().glob(".pyenv/versions/3.1[2-9]*"), reverse=True):
        yield str(folder / "bin" / "python")


def _python() -> str:
    """A Python that runs and is new enough. A name on the path may be a shim that does not."""
    for candidate in _candidates():
        try:
            asked = subprocess.run([candidate, "-c", NEW_ENOUGH], capture_output=True, check=False, timeout=ASK_S)  # noqa: S603 - a Python
        except (OSError, subprocess.TimeoutExpired):
            continue
        if asked.returncode == 0:
            return candidate
    raise NotHereError("there is no Python >= 3.12")


def _installed() -> Path:
    """The Python of the clients' environment, which is made if it is not there or the lock has changed."""
    python, wanted = VENV / "bin" / "python", LOCK.read_bytes()
    if STAMP.is_file() and STAMP.read_bytes() == wanted and _runs(python):
        return python
    shutil.rmtree(VENV, ignore_errors=True)
    _do([_python(), "-m", "venv", str(VENV)])
    uv = Path(sys.executable).with_name("uv")
    locked = ["--require-hashes", "-r", str(LOCK)]
    _do(
        [str(uv), "pip", "install", "-q", "--python", str(python), *locked]
        if uv.is_file()
        else [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *locked]
    )
    STAMP.write_bytes(wanted)
    return python


def _runs(python: Path) -> bool:
    try:
        return subprocess.run([str(python), "-c", ""], check=False, timeout=ASK_S).returncode == 0  # noqa: S603 - our own
    except OSError:
        return False


def _do(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)  # noqa: S603 - our own
    except subprocess.TimeoutExpired as error:
        raise NotHereError(f"{command[0]} took longer than {INSTALL_S} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise NotHereError(f"{Path(command[0]).name} {' '.join(command[1:3])}: {last}")


async def _cases(python: Path, client: str, only: str) -> int:
    """The client's cases against nodes of their own; their exit code."""
    folder = OUT / client
    shutil.rmtree(folder, ignore_errors=True)
    async with sandbox(len(ROLES), folder) as box:
        nodes = {role: box.members[name].to_json() for role, name in ROLES.items()}
        process = await asyncio.create_subprocess_exec(
            *(str(python), "-W", "ignore", "-m", f"tests.interop.clients.cases.{CLIENTS[client]}", only),
            stdin=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        try:
            await process.communicate(json.dumps(nodes).encode())
        finally:
            if process.returncode is None:
                process.kill()
        return process.returncode or 0


def _tell(verdict: str, client: str, text: str) -> None:
    sys.stdout.write(f"{verdict:<4}  {client:<12}  {text}\n")
    sys.stdout.flush()


def _run(python: Path, client: str, only: str) -> bool:
    try:
        code = asyncio.run(_cases(python, client, only))
    except LocalError as error:
        _tell("FAIL", client, error.reason)
        return False
    if code not in {0, 1}:
        _tell("FAIL", client, f"the cases ended with {code}, see above")
    return code == 0


def main() -> int:
    """Install, run, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", choices=CLIENTS, help="only this one")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose description contains this")
    options = parser.parse_args()
    clients = [options.client] if options.client else list(CLIENTS)
    OUT.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nodes and cases end with us
    try:
        python = _installed()
    except NotHereError as error:
        for client in clients:
            _tell("skip", client, str(error))
        return 0
    for name in [name for name in os.environ if name.startswith("CONNECTOR_")]:
        del os.environ[name]  # they would reach the nodes
    os.environ["CONNECTOR_DATA_PLANE_TOKEN_LIFETIME"] = str(TOKEN_LIFETIME_S)
    try:
        fine = [_run(python, client, options.only) for client in clients]
    except KeyboardInterrupt:
        return 130  # as a shell says it
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
