"""`connector sandbox`: several nodes on this machine, for development and for measurements."""

import asyncio
import json
import os
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from connector.cli.terminal import Said, json_option, refusals, say
from connector.http.server import stop_signal
from connector.onboarding.folder import write_atomically
from connector.protocol.errors import Invalid, LocalError
from connector.sandbox.databases import in_files, on_postgres
from connector.sandbox.nodes import SHELL_FILE, Sandbox
from connector.sandbox.nodes import sandbox as running
from connector.settings import secret

POSTGRES_VARIABLE: Final = "CONNECTOR_POSTGRES_URL"


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
    help="Where the nodes keep their data: a file each, or a database each.",
)
@click.option(
    "--postgres-url",
    envvar=POSTGRES_VARIABLE,
    help="With --store postgres: a server whose user may create databases, or env:NAME or file:PATH."
    f"  [default: what {POSTGRES_VARIABLE} holds or names, else a server of its own from installed programs]",
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
@click.option(
    "--credentials",
    is_flag=True,
    help="With an authority, whose credentials the nodes show one another (DCP); else their DIDs are enough.",
)
@json_option
def up(
    nodes: int,
    store: str,
    postgres_url: str | None,
    pair_file: Path | None,
    folder: Path | None,
    *,
    credentials: bool,
    as_json: bool,
) -> None:
    """Start nodes that know one another, and run until SIGTERM or Ctrl-C.

    They are an OEM, a cell maker, a cathode supplier, a second OEM, a recycler, a market surveillance authority, and
    node-7 and so on. The API keys that are shown open these nodes on this machine only.
    """
    with refusals(as_json=as_json):
        databases = in_files if store == "sqlite" else on_postgres(_server(postgres_url))
        if pair_file is not None and nodes < 2:  # noqa: PLR2004 - a pair
            raise Invalid("a pair needs at least two nodes: give --nodes 2 or more")
        asyncio.run(_up(running(nodes, folder, databases, credentials=credentials), pair_file, as_json=as_json))


@sandbox.command()
@click.argument("host")
@click.option(
    "--authority",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the certificate authority, key included; made if missing. Nodes need not see it.",
)
@click.option(
    "--dir",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where certificate.pem, key.pem and authority.pem (for the node's public.trust) are to be.",
)
@json_option
def certificate(host: str, authority: Path, folder: Path, *, as_json: bool) -> None:
    """Make a TLS certificate for HOST under a throw-away authority.

    One that is there already is kept until a month before its end. It is good among nodes that trust this authority,
    in a composition of containers for instance, and nowhere else.
    """
    from connector.sandbox.authority import certify  # noqa: PLC0415 - X.509 is for this command only

    with refusals(as_json=as_json):
        made = certify(host, folder, authority, now=datetime.now(UTC))
    line = f"a {'new' if made else 'valid'} certificate for {host} is in {folder}"
    say(Said({"host": host, "folder": str(folder), "made": made}, [line]), as_json=as_json)


def _server(url: str | None) -> str | None:
    return secret(url, os.environ, "") if url is not None and url.startswith(("env:", "file:")) else url


async def _up(box: AbstractAsyncContextManager[Sandbox], pair_file: Path | None, *, as_json: bool) -> None:
    stop = asyncio.create_task(stop_signal())  # from here on a signal ends everything in order, also while starting
    serving = asyncio.create_task(_serve(box, pair_file, as_json=as_json))
    await asyncio.wait({stop, serving}, return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, stop):
        task.cancel()
    _, error = await asyncio.gather(stop, serving, return_exceptions=True)
    if isinstance(error, Exception):  # a cancellation is none
        raise error


async def _serve(starting: AbstractAsyncContextManager[Sandbox], pair_file: Path | None, *, as_json: bool) -> None:
    async with starting as box:
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
