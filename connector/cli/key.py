"""`connector key`: a node's signing key, the public half of it, and a new one in its place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from connector import config as settings
from connector.cli.terminal import Said, json_option, refusals, say
from connector.identity.former_keys import former_file, open_node_keys, rotate_node_key
from connector.protocol.did_services import service_entries
from connector.wiring import KEY_FILE

F = TypeVar("F", bound=Callable[..., Any])
_config_option: Final[Callable[[F], F]] = click.option(
    "--config",
    "file",
    envvar="CONNECTOR_CONFIG",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The node's TOML file.",
)


@click.group()
def key() -> None:
    """A node's signing key."""


@key.command("show")
@_config_option
@json_option
def show_key(file: Path, *, as_json: bool) -> None:
    """Print the DID document that a node with these settings serves; a node without a key gets one.

    Whoever hosts the document elsewhere than at the node takes it from here.
    """
    with refusals(as_json=as_json):
        node = settings.load(file)
        document = open_node_keys(_file(node), node.did).document(service_entries(node.did, node.dsp_root))
    say(Said(document, [json.dumps(document, indent=2)]), as_json=as_json)


@key.command("rotate")
@_config_option
@json_option
def rotate_key(file: Path, *, as_json: bool) -> None:
    """Let a node sign with a new key from its next start on. What was signed before stays good.

    Works on the files: the key file is replaced, and the public half of the old key is kept beside it, in a file that
    ends in .former.json; the node's DID document publishes it for what was signed with it. A node that runs goes on
    with the old key until it is restarted. Replicas on PostgreSQL: stop all of them and run `connector db migrate
    --new-key` as well.
    """
    with refusals(as_json=as_json):
        node = settings.load(file)
        path = _file(node)
        keys = rotate_node_key(path, node.did)
    former = [each.kid for each in keys.former]
    doc = {"kid": keys.current.kid, "formerKids": former, "file": str(path), "formerFile": str(former_file(path))}
    lines = [
        f"from its next start on it signs with {keys.current.kid}",
        *(f"published besides  {kid}" for kid in former),
        f"back up {path} and {former_file(path)}",
    ]
    say(Said(doc, lines), as_json=as_json)


def _file(node: settings.Config) -> Path:
    return node.key or node.data / KEY_FILE
