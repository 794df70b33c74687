"""`connector sandbox`: several nodes on this machine, for development and for measurements."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from connector.cli.terminal import Said, json_option, refusals, say
from connector.http.server import stop_signal
from connector.protocol.errors import Invalid, LocalError
from connector.sandbox.nodes import SHELL_FILE, Sandbox, write_atomically
from connector.sandbox.nodes import sandbox as running


@click.group()
def sandbox() -> None:
    """A small data space on this machine."""


@sandbox.command()
@click.option("--nodes", type=click.IntRange(1, 50), default=3, show_default=True, help="How many nodes.")
@click.option(
    "--store",
    type=click.Choice(["sqlite", "postgres"]),
    default="sqlite",
    show_default=True,
    help="Where the nodes keep their data; this version knows SQLite only.",
)
@click.option(
    "--pair-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write this JSON file when all nodes are ready: cell maker and OEM as provider and consumer.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep everything here; a later start finds it again.  [default: a temporary folder, removed at the end]",
)
@json_option
def up(nodes: int, store: str, pair_file: Path | None, folder: Path | None, *, as_json: bool) -> None:
    """Start nodes that know one another, and run until SIGTERM or Ctrl-C.

    They are an OEM, a cell maker, a cathode supplier, a second OEM, and node-5 and so on. The API keys that are shown
    open these nodes on this machine only.
    """
    with refusals(as_json=as_json):
        if store == "postgres":
            raise Invalid("this version keeps its data in SQLite only: leave --store out")
        if pair_file is not None and nodes < 2:  # noqa: PLR2004 - a pair
            raise Invalid("a pair needs at least two nodes: give --nodes 2 or more")
        asyncio.run(_up(nodes, pair_file, folder, as_json=as_json))


async def _up(nodes: int, pair_file: Path | None, folder: Path | None, *, as_json: bool) -> None:
    stop = asyncio.create_task(stop_signal())  # from here on a signal ends everything in order, also while starting
    serving = asyncio.create_task(_serve(nodes, pair_file, folder, as_json=as_json))
    await asyncio.wait({stop, serving}, return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, stop):
        task.cancel()
    _, error = await asyncio.gather(stop, serving, return_exceptions=True)
    if isinstance(error, Exception):  # a cancellation is none
        raise error


async def _serve(nodes: int, pair_file: Path | None, folder: Path | None, *, as_json: bool) -> None:
    async with running(nodes, folder) as box:
        if pair_file is not None:
            write_atomically(pair_file, json.dumps(box.pair_json("connector sandbox"), indent=2))
        say(_table(box), as_json=as_json)
        raise LocalError(await box.first_death())


def _table(box: Sandbox) -> Said:
    shown: list[dict[str, Any]] = [member.to_json() for member in box.members.values()]
    columns = ("name", "did", "bpn", "dsp", "management", "api_key")
    rows = [[node[column] for column in columns] for node in shown]
    folder = Path(shown[0]["folder"]).parent
    lines = [
        f"{len(rows)} nodes are ready; Ctrl-C ends them",
        f"folder: {folder}, for a shell: . {folder / SHELL_FILE}",
    ]
    return Said({"nodes": shown}, lines, columns, rows)
