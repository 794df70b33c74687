"""`connector serve`: one node in this process."""

import asyncio
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from connector import config
from connector.cli.terminal import json_option, refusals

if TYPE_CHECKING:
    from connector.wiring import RunningNode

FILES: Final = 65_536
"""Open files that are enough for all caps on connections together."""
COLLECT_AFTER: Final = 10_000
"""Objects more than there were; a few dozen requests under way have fewer."""


@click.command()
@click.option(
    "--config",
    "file",
    envvar="CONNECTOR_CONFIG",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The node's TOML file; the environment (CONNECTOR_<SECTION>_<NAME>) wins.",
)
@click.option(
    "--parent-fd",
    type=int,
    help="For programs that start nodes: a stream socket that gets one JSON line when the node is ready; "
    "the node ends when the other side closes it.",
)
@json_option
def serve(file: Path, parent_fd: int | None, *, as_json: bool) -> None:
    """Run a node until SIGTERM or SIGINT.

    The log goes to standard error. With --json, one line on standard output tells when the node is ready.
    """
    with refusals(as_json=as_json):
        settings = config.load(file)
        take_open_files()
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            runner.run(_serve(settings, parent_fd, as_json=as_json))


async def _serve(settings: config.Config, parent_fd: int | None, *, as_json: bool) -> None:
    from connector import wiring  # noqa: PLC0415 - everything a node needs, for this command only
    from connector.sandbox.link import Ready, report  # noqa: PLC0415 - the same

    following: list[asyncio.Task[None]] = []

    async def announce(running: "RunningNode") -> None:
        spare_collections()
        ready = Ready(running.management.url + settings.management_path, running.node.dsp_address, settings.data_url)
        if as_json:
            click.echo(ready.to_line())
        if parent_fd is not None:
            following.append(await report(parent_fd, ready))

    try:
        await wiring.run(settings, announce)
    finally:
        for task in following:
            task.cancel()


def spare_collections() -> None:
    """Have the garbage collector walk through what a node is made of never, through requests under way seldom.

    What a request leaves behind is no garbage for it: references are counted. With Python's own settings a full
    collection took 100 ms every two thousand requests, and all of them together an eighth of their time.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def take_open_files() -> None:
    """Take what the system allows: a connection is a file, and the usual 1024 are fewer than the caps."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - there is none on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def fast_loop() -> "type[asyncio.AbstractEventLoop] | None":
    """The event loop of uvloop where there is one: half the time per request."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - serving only

    loop: type[asyncio.AbstractEventLoop] = uvloop.Loop
    return loop
