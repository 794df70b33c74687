"""Commands that speak with a node: where it is, its key, and how its answers and refusals come out."""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

import click

from connector.cli.terminal import Said, json_option, refusals, say
from connector.client import Client, Provider
from connector.protocol.versions import root_url
from connector.protocol.vocabulary import VERSION
from connector.settings import secret

DEFAULT_URL: Final = "http://127.0.0.1:8181/management"
URL_VARIABLE: Final = "CONNECTOR_URL"
KEY_VARIABLE: Final = "CONNECTOR_API_KEY"
_REFERENCES: Final = ("env:", "file:")


def on_node(function: Callable[..., Awaitable[Said]]) -> Callable[..., None]:
    """Give a command its options for the connection, an open client as first argument, and its exit code."""

    @click.option("--url", envvar=URL_VARIABLE, default=DEFAULT_URL, show_default=True, help="The management API.")
    @click.option("--key", help=f"The API key: env:NAME or file:PATH.  [default: what {KEY_VARIABLE} holds or names]")
    @json_option
    @functools.wraps(function)
    def command(*, url: str, key: str | None, as_json: bool, **arguments: object) -> None:
        async def run() -> Said:
            async with Client(url, api_key) as client:
                return await function(client, **arguments)

        with refusals(as_json=as_json):
            api_key = find_key(key)
            said = asyncio.run(run())
        say(said, as_json=as_json)

    return command


def find_key(given: str | None, variable: str = KEY_VARIABLE) -> str:
    """The API key, by option or in the environment's `variable`.

    On the command line only by reference, where others of this machine can read along.
    """
    if given is not None:
        if not given.startswith(_REFERENCES):
            raise click.UsageError("--key takes env:NAME or file:PATH: a command line is no place for a secret")
        return secret(given, os.environ, "")
    found = os.environ.get(variable, "")
    if not found:
        raise click.UsageError(f"which API key? Give --key env:NAME or --key file:PATH, or set {variable}")
    return secret(found, os.environ, "") if found.startswith(_REFERENCES) else found


def provider_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The counterparty: its DSP address as argument, who it is as option."""
    named = click.option("--provider", "participant", required=True, help="The provider's DID, or a BPN known here.")
    return click.argument("provider_dsp_url")(named(function))


async def locate(client: Client, address: str, participant: str) -> Provider:
    """The provider; an address without our version's path is looked up in the provider's version document."""
    if participant.startswith("did:") and root_url(address).endswith(f"/{VERSION}"):
        return Provider(participant, root_url(address))
    return await client.catalogs.locate(participant, address)
