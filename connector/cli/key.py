"""`connector key`: the public half of a node's signing key."""

import json
from pathlib import Path
from typing import Any

import click

from connector import config as settings
from connector.cli.terminal import Said, json_option, refusals, say
from connector.identity.did import did_document
from connector.identity.keys import load_or_create
from connector.protocol.did_services import service_entries
from connector.wiring import KEY_FILE


@click.group()
def key() -> None:
    """A node's signing key."""


@key.command("show")
@click.option(
    "--config",
    "file",
    envvar="CONNECTOR_CONFIG",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The node's TOML file.",
)
@json_option
def show_key(file: Path, *, as_json: bool) -> None:
    """Print the DID document that a node with these settings serves; a node without a key gets one.

    Whoever hosts the document elsewhere than at the node takes it from here.
    """
    with refusals(as_json=as_json):
        document = _document(settings.load(file))
    say(Said(document, [json.dumps(document, indent=2)]), as_json=as_json)


def _document(node: settings.Config) -> dict[str, Any]:
    key = load_or_create(node.key or node.data / KEY_FILE, node.did)
    return did_document(node.did, [key], service_entries(node.did, node.dsp_root))
