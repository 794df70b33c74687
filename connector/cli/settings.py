"""`connector config`: what can be set, whether a file is right, and a file to begin with."""

from pathlib import Path
from typing import Final

import click

from connector import config as settings
from connector.cli.terminal import Said, json_option, refusals, say

EXAMPLE: Final = """\
[node]
did = "did:web:connector.example.com"
data = "/var/lib/connector"
[public]
url = "https://connector.example.com"
host = "0.0.0.0"
[management]
key = "env:CONNECTOR_API_KEY"
[directory]
BPNL000HELVION01 = "did:web:maker.example.com"
"""


@click.group()
def config() -> None:
    """Settings of a node."""


@config.command("check")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def check_config(file: Path, *, as_json: bool) -> None:
    """Read FILE as `serve` would, with the environment over it, and say what is wrong."""
    with refusals(as_json=as_json):
        checked = settings.load(file)
    doc = {"ok": True, "did": checked.did, "dsp": checked.dsp_root, "management": checked.management_port}
    say(Said(doc, [f"{file} is right: {checked.did} at {checked.dsp_root}"]), as_json=as_json)


@config.command("list")
@json_option
def list_config(*, as_json: bool) -> None:
    """List every setting. The environment variable is CONNECTOR_ and the name in capitals, _ for the dot."""
    rows = settings.table()
    doc = [{"key": key, "default": default, "help": text} for key, default, text in rows]
    say(Said(doc, (), ("setting", "default", "what it does"), rows), as_json=as_json)


@config.command("example")
@json_option
def example_config(*, as_json: bool) -> None:
    """Print a file to begin with: ten lines, everything else has a default."""
    say(Said({"toml": EXAMPLE}, [EXAMPLE.rstrip()]), as_json=as_json)
