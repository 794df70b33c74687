"""`make interop`: our nodes beside connectors and clients that others wrote.

    EDC         a real Eclipse EDC, started by the tool in the folder of tools; each case in both directions
    clients     the SDKs of clients/run.py, if it is there

One line per case: verdict, who consumes or provides, the case, milliseconds. Exit code 0 only if nothing failed. Where
EDC cannot be had, its half is skipped, with the reason.
"""

import argparse
import asyncio
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connector.protocol.errors import ConnectorError  # noqa: E402 - after the path is set
from tests.interop import exchanging, many, page, refusing  # noqa: E402 - after the path is set
from tests.interop.backend import backend  # noqa: E402 - after the path is set
from tests.interop.directions import WeConsume, WeProvide  # noqa: E402 - after the path is set
from tests.interop.edc import TOOL, Unusable, edc  # noqa: E402 - after the path is set
from tests.interop.matrix import Case, Matrix, say  # noqa: E402 - after the path is set
from tests.interop.ours import node  # noqa: E402 - after the path is set
from tests.interop.outage import Outage  # noqa: E402 - after the path is set
from tests.interop.scene import Scene  # noqa: E402 - after the path is set

TOOLS: Final = ROOT.parent / "shared" / "tools"
KEPT: Final = ROOT / "build" / "edc-pair"
"""Where EDC keeps its jars from one run to the next; `make bench` uses the same."""
CLIENTS: Final = Path(__file__).with_name("clients") / "run.py"
LIMIT_S: Final = 900.0
"""On a busy machine; a calm one needs a third of it."""
ASK_S: Final = 20.0


@asynccontextmanager
async def scene(tools: Path, folder: Path) -> AsyncIterator[Scene]:
    """Everybody, started; on the way out everybody ends."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        behind = await enter(backend())
        theirs = await enter(edc(tools, KEPT))
        ours = await enter(node("maker", folder))
        by_hand = await enter(node("maker-by-hand", folder, strategy={"negotiation": "manual"}))
        brief = await enter(node("maker-brief", folder, data_plane={"token_lifetime": 2}))
        session = await enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_S)))
        yield Scene(theirs, ours, by_hand, brief, behind, session)


def cases(on: Scene) -> Iterator[Case]:
    """All of EDC's half, the ones that stop EDC at the end."""
    consuming, providing = WeConsume(on), WeProvide(on)
    yield from exchanging.cases(consuming)
    yield from refusing.consuming(consuming)
    yield from exchanging.cases(providing)
    yield from refusing.providing(providing)
    yield from page.cases(consuming, providing)
    for way in (consuming, providing):
        yield from many.cases(way)
    yield from Outage(on).cases()


async def edc_half(tools: Path, wanted: str, matrix: Matrix) -> None:
    """Run EDC's half, or say why it cannot be run."""
    missing = next((name for name in ("java", "javac", "mvn") if shutil.which(name) is None), None)
    if not (tools / TOOL).exists():
        matrix.add(
            "skip", "edc", "everything", 0, f"the tool {TOOL} is not in the folder {tools.name} beside this repository"
        )
        return
    if missing is not None:
        matrix.add("skip", "edc", "everything", 0, f"{missing} is not on PATH (Java 17 or newer and Maven are needed)")
        return
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="connector-interop-") as folder:
        async with scene(tools, Path(folder)) as on:
            for case in cases(on):
                if re.search(wanted, f"{case.group} {case.name}"):
                    await matrix.run(case)


async def clients_half(wanted: str, matrix: Matrix) -> None:
    """Run the clients' half, which prints its own lines."""
    if wanted or not CLIENTS.exists():
        return
    process = await asyncio.create_subprocess_exec(sys.executable, str(CLIENTS), stdin=asyncio.subprocess.DEVNULL)
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if code != 0:
        matrix.add("FAIL", "clients", "all of the above", 0, f"clients/run.py has ended with {code}")


async def run(options: argparse.Namespace) -> bool:
    """Both halves. SIGTERM ends them in order, like Ctrl-C."""
    matrix = Matrix()
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with asyncio.timeout(LIMIT_S):
            await edc_half(options.tools, options.only, matrix)
            await clients_half(options.only, matrix)
    except (Unusable, ConnectorError, TimeoutError) as error:
        matrix.add("FAIL", "edc", "everything", 0, f"{type(error).__name__}: {error}")
    say(", ".join(f"{count} {verdict}" for verdict, count in matrix.counts.items()))
    return matrix.counts["FAIL"] == 0


def main() -> int:
    """Run and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="REGEX", help="cases of EDC's half whose line has this")
    parser.add_argument("--tools", type=Path, default=TOOLS, help="the folder of tools")
    options = parser.parse_args()
    re.compile(options.only)
    try:
        return 0 if asyncio.run(run(options)) else 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


if __name__ == "__main__":
    sys.exit(main())
