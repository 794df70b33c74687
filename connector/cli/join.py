"""`connector join`: make a node, or take one that is there, and get it into a data space."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from connector.cli.terminal import Said, json_option, refusals, say
from connector.config import load
from connector.observability import configure
from connector.settings import secret

if TYPE_CHECKING:
    from connector.config import Config

INVITATION_VARIABLE: Final = "CONNECTOR_INVITATION"
_REFERENCES: Final = ("env:", "file:")


@click.command()
@click.option("--authority", required=True, help="The DID of the authority, which issues the credentials.")
@click.option(
    "--invitation",
    help="The code that the authority gave out: env:NAME or file:PATH; not needed by who is a member already."
    f"  [default: what {INVITATION_VARIABLE} holds or names]",
)
@click.option(
    "--config",
    "file",
    envvar="CONNECTOR_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings of a node that is there, with identity.kind dcp; instead of --dir, --url and --bpn.",
)
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="The folder of a new node.")
@click.option("--url", help="The URL under which partners reach the new node; its DID follows from it.")
@click.option("--bpn", help="The business partner number of the new node's company.")
@click.option("--bdrs", default="", help="The root URL of the data space's BPN directory.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the new node listens on.")
@click.option("--port", type=int, default=8282, show_default=True, help="Port that it listens on for partners.")
@click.option("--management-port", type=int, default=8181, show_default=True, help="Port of its management API.")
@click.option("--certificate", type=click.Path(path_type=Path), help="PEM file with its certificate chain.")
@click.option("--certificate-key", type=click.Path(path_type=Path), help="PEM file with the certificate's key.")
@click.option("--trust", type=click.Path(path_type=Path), help="PEM file with additional CAs to trust.")
@json_option
def join(
    authority: str,
    invitation: str | None,
    file: Path | None,
    folder: Path | None,
    url: str | None,
    bpn: str | None,
    *,
    as_json: bool,
    **plan: Any,
) -> None:
    """Get a node its DID, its keys and its credentials.

    A new node gets a folder with settings, API key and signing key. A node that does not run is run for the moment, as
    the authority fetches its DID document and delivers to its wallet: its URL has to lead here.
    """
    configure("error", "console")  # of the node that may run for this
    with refusals(as_json=as_json):
        config, said_file = _config(authority, file, folder, url, bpn, plan)
        said = asyncio.run(_join(config, said_file, authority, _code(invitation)))
    say(said, as_json=as_json)


def _config(
    authority: str,
    file: Path | None,
    folder: Path | None,
    url: str | None,
    bpn: str | None,
    plan: dict[str, Any],
) -> tuple["Config", Path]:
    from connector.onboarding.folder import CONFIG_FILE, Plan, prepare  # noqa: PLC0415 - for this command only

    if (file is None) is (folder is None):
        raise click.UsageError("give --config for a node that is there, or --dir for a new one")
    if file is not None:
        return load(file), file
    if not url or not bpn or folder is None:
        raise click.UsageError("a new node needs --url and --bpn")
    made = Plan(authority=authority, url=url.rstrip("/"), bpn=bpn, **plan)
    return prepare(made, folder), folder / CONFIG_FILE


def _code(given: str | None) -> str | None:
    if given is not None and not given.startswith(_REFERENCES):
        raise click.UsageError("--invitation takes env:NAME or file:PATH: a command line is no place for a secret")
    found = given or os.environ.get(INVITATION_VARIABLE) or None
    return secret(found, os.environ, "/invitation") if found and found.startswith(_REFERENCES) else found


async def _join(config: "Config", file: Path, authority: str, invitation: str | None) -> Said:
    from connector.onboarding.joining import join as take_part  # noqa: PLC0415 - for this command only
    from connector.onboarding.joining import reached  # noqa: PLC0415 - the same

    async with reached(config) as node:
        held = await take_part(node, authority, invitation)
    doc = {
        "did": config.did,
        "bpn": config.bpn,
        "config": str(file),
        "credentials": [{"types": each.types, "issuer": each.issuer, "validUntil": each.valid_until} for each in held],
    }
    lines = [
        f"{config.bpn} takes part as {config.did}",
        *(f"  {', '.join(each.types)}, until {_day(each.valid_until)}" for each in held),
        f"start it:   connector serve --config {file}",
        f"look at it: connector doctor --config {file}",
    ]
    return Said(doc, lines)


def _day(ms: int | None) -> str:
    return "it is taken back" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")
