"""`make compose`: the composition tells its story; then each of its services is restarted while exchanges run.

A restart is an orderly one: SIGTERM (PostgreSQL: SIGINT), the end, a new start on what was kept. Nobody pauses the
exchanges meanwhile. Exit code 1 if the story does not hold, or anything was lost, doubled or stuck. Needs docker with
either generation of compose, and says so where there is none. What it has started it takes away again.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connector.protocol.errors import ConnectorError  # noqa: E402 - after the path is set
from connector.sandbox.participants import CELL_MAKER, OEM, read_participants  # noqa: E402 - after the path is set
from connector.sandbox.ports import Ports  # noqa: E402 - after the path is set
from tests.crash.load import Load  # noqa: E402 - after the path is set
from tests.crash.nodes import Parties, Party  # noqa: E402 - after the path is set
from tests.crash.promises import EVERYTHING, judge  # noqa: E402 - after the path is set

RESTARTED: Final = ("cathode-supplier", "oem", "cell-maker", "database")
EXCHANGES: Final = 60
"""Around each restart."""
AT_ONCE: Final = 8
BEFORE: Final = 10
"""Exchanges that are done when a restart begins, so that others are in the middle of something."""
LIMIT_S: Final = 240.0
SETTLED_S: Final = 20.0
GRACE: Final = "15"
"""Seconds that docker gives a container to end by itself; a node needs 8 at most."""


@dataclass(frozen=True, slots=True)
class Composition:
    """A composition of its own name, so that it meddles with no other one."""

    command: tuple[str, ...]
    environment: Mapping[str, str]

    async def __call__(self, *arguments: str, quiet: bool = True) -> None:
        """Run a command of compose. Raise SystemExit with what it said if it fails."""
        output = asyncio.subprocess.PIPE if quiet else None
        process = await asyncio.create_subprocess_exec(
            *self.command, *arguments, cwd=ROOT, env=self.environment, stdout=output, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        if process.returncode:
            words = (said or b"").decode(errors="replace")[-4000:]
            raise SystemExit(f"{' '.join(arguments)} failed with {process.returncode}\n{words}")


def _compose() -> tuple[str, ...] | None:
    """Compose as it is called here; None if there is none, or no engine that answers."""
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:  # noqa: S607 - whichever docker is first in the path
        return None
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)  # noqa: S607 - the same
    if plugin.returncode == 0:
        return ("docker", "compose")
    return ("docker-compose",) if shutil.which("docker-compose") else None


async def _restart(run: Composition, service: str, parties: Parties, assets: list[str]) -> str:
    """Restart a service in the middle of exchanges; return a line about it."""
    load = Load(parties, assets, at_once=AT_ONCE)
    working = asyncio.create_task(load.run())
    try:
        while len(load.progress.done) < BEFORE and not working.done():
            load.progress.changed.clear()
            await load.progress.changed.wait()
        began = time.monotonic()
        await run("restart", "--timeout", GRACE, service)
        down_s, still_open = time.monotonic() - began, len(load.progress.running)
        await working
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    took_s = time.monotonic() - began
    return f"{service:17} restarted in {down_s:.1f} s, {still_open} exchanges open then, all done after {took_s:.1f} s"


async def _roll(run: Composition, parties: Parties) -> list[str]:
    """Restart everything in turn; return what was not kept."""
    names = [f"passport-{n}" for n in range(EXCHANGES * len(RESTARTED))]
    async with asyncio.timeout(LIMIT_S):
        await parties.publish(names)
        for i, service in enumerate(RESTARTED):
            print(await _restart(run, service, parties, names[i * EXCHANGES : (i + 1) * EXCHANGES]))  # noqa: T201 - it tells
        async with parties.oem.client() as oem, parties.maker.client() as maker:
            broken = (await judge(oem, maker, settled_s=SETTLED_S)).lines
            asked = len((await oem.negotiations.query(EVERYTHING)).items)
    return broken if asked == len(names) else [*broken, f"lost: {asked} negotiations for {len(names)} passports"]


async def main() -> int:
    """0 if everything held."""
    if (compose := _compose()) is None:
        print("make compose is skipped: it needs docker, an engine that answers, and compose")  # noqa: T201 - it tells
        return 0
    with Ports() as ports:
        published = {"OEM_PORT": str(ports.take()), "CELL_MAKER_PORT": str(ports.take())}
    secret = {"API_KEY": secrets.token_urlsafe(24), "DATABASE_PASSWORD": secrets.token_urlsafe(24)}
    files = ("-f", "docker-compose.yml", "-f", "tests/compose/ports.yml")
    project = f"connector-{secrets.token_hex(4)}"
    run = Composition((*compose, "-p", project, *files), {**os.environ, **published, **secret})
    known = read_participants(ROOT / "docker" / "nodes.toml", secret)

    def party(name: str, port: str) -> Party:
        return Party(replace(known[name], management=f"http://127.0.0.1:{published[port]}/management"))

    parties = Parties(party(CELL_MAKER.name, "CELL_MAKER_PORT"), party(OEM.name, "OEM_PORT"))
    try:
        await run("build")
        await run("up", "--abort-on-container-exit", "demo", quiet=False)
        await run("down", "--volumes", "--timeout", GRACE)
        await run("run", "--rm", "-T", "demo", "--version")  # it starts when all nodes are healthy
        broken = await _roll(run, parties)
        await run("run", "--rm", "-T", "demo")
    except (ConnectorError, TimeoutError) as error:
        broken = [f"{type(error).__name__}: {error}"]
    finally:
        await run("down", "--volumes", "--timeout", GRACE)
    print("\n".join(broken) or "nothing was lost, doubled or stuck")  # noqa: T201 - it tells
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
