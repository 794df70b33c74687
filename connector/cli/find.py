"""`connector passport find`: what a workshop does with a scanned code."""

from pathlib import Path

import click

from connector.cli.connection import on_node
from connector.cli.consume import output_option, received, semantic_option
from connector.cli.terminal import Said
from connector.client import Client


@click.command()
@click.argument("code")
@click.option("--from", "provider", help="Whose battery it is, if the code does not say: a DID, or a BPN known here.")
@semantic_option
@output_option
@on_node
async def find(client: Client, code: str, provider: str | None, semantic_id: str | None, output: Path | None) -> Said:
    """Get the passport that CODE leads to: registry, contract, transfer, data, verification.

    CODE is what was scanned: CX:<part>:<serial number>, the address of a passport's page, <DID>#<serial number>, a
    battery's urn:..., or a serial number. What is agreed and open already is used again. The exit code is 1 if any
    check of the passport fails, or it is that of another battery; then nothing is written. The file can be proven
    offline with `connector passport verify`; where the provider offers no credential it is the plain aspect.
    """
    found = await client.find(code, provider=provider, semantic_id=semantic_id)
    said = received(found.fetched, output, beside=found.checks, kept=found.bundle)
    way = {"provider": found.provider, "shellId": found.shell_id, "assetId": found.asset_id, "steps": list(found.steps)}
    proof = {name: found.raw.get(name) for name in ("scanned", "report", "bundle") if name == "scanned" or found.ok}
    return Said({**way, "transferId": found.transfer_id, **said.doc, **proof}, [*found.steps, *said.lines], ok=found.ok)
