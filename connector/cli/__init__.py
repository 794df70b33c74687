"""The `connector` command: one file per group of commands, imported when one of them is called.

Exit codes: 0 it was done, 1 it was refused or failed, 2 the command was not understood or its answer cannot be written,
141 nobody reads the answer any more (`| head`). Every command takes `--json`.
"""

from importlib import import_module
from typing import Final

import click
from typing_extensions import override

from connector import __version__

COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "serve": ("serve", "serve", "Run a node until it is told to stop."),
    "config": ("settings", "config", "Check a node's settings, list them all, print an example."),
    "db": ("db", "db", "Migrate, check and back up a node's database."),
    "key": ("key", "key", "Show a node's public keys, as the DID document that it serves; sign with a new one."),
    "authority": ("authority", "authority", "Run the authority of a data space, and keep its register of members."),
    "join": ("join", "join", "Get a node its DID, keys and credentials from the authority of a data space."),
    "onboard": ("onboard", "onboard", "Take the companies of a table into a data space, and say who is ready."),
    "doctor": ("doctor", "doctor", "Check a node from outside and inside, and say how to mend what is wrong."),
    "sandbox": ("sandbox", "sandbox", "Start several nodes on this machine that know one another."),
    "demo": ("demo", "demo", "Run the battery passport story in a sandbox, or on nodes that run."),
    "schema": ("schema", "schema", "Show the JSON Schema of an aspect model, and check payloads against it."),
    "publish": ("publish", "publish", "Check, sign and publish a payload, and offer it."),
    "passport": ("passport", "passport", "Publish, fetch, show, compare and verify battery passports."),
    "asset": ("publish", "asset", "List, show and remove assets."),
    "offer": ("publish", "offer", "Offer assets to partners under a policy."),
    "policy": ("policy", "policy", "Explain policies, check them, and list the templates."),
    "catalog": ("consume", "catalog", "Show what a provider offers to this node."),
    "obtain": ("consume", "obtain", "Get a dataset: contract, transfer, data and its verification."),
    "negotiate": ("negotiation", "negotiate", "Ask for a contract on an offer of the catalog."),
    "negotiation": ("negotiation", "negotiation", "List, show, approve and terminate negotiations."),
    "transfer": ("transfer", "transfer", "Start transfers of agreed data, pause, resume and end them."),
    "fetch": ("transfer", "fetch", "Pull the data of a running transfer and verify it."),
    "deadletter": ("deadletter", "deadletter", "List messages that could not be delivered, and retry them."),
}
"""Name: module, attribute, what it does. The texts stand here so that --help imports nothing."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is called."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"connector.cli.{module}"), attribute)
        return command

    @override
    def invoke(self, ctx: click.Context) -> object:
        """Run the command; that nobody reads its answer any more is nobody's fault."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            from connector.cli.terminal import reader_gone  # noqa: PLC0415 - so that --help imports nothing

            reader_gone()

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="connector")
def main() -> None:
    """A data-space connector for battery passports.

    Commands about a node speak with its management API: give --url and --key, or set CONNECTOR_URL and
    CONNECTOR_API_KEY.
    """
