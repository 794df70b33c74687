"""Transfers: start them under an agreement, fetch their data, pause and end them."""

from pathlib import Path

import click

from connector.cli.connection import on_node
from connector.cli.consume import output_option, received, semantic_option
from connector.cli.negotiation import told, wait_option
from connector.cli.terminal import Said
from connector.client import Client, Transfer
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.states import TRANSFER
from connector.protocol.vocabulary import HTTP_PUSH

reason_option = click.option("--reason", required=True, help="The counterparty is told.")


@click.group()
def transfer() -> None:
    """Look after transfers."""


@transfer.command("start")
@click.argument("agreement_id")
@click.option("--push-to", help="Have the provider send the data to this URL instead of pulling it.")
@wait_option
@on_node
async def start_transfer(client: Client, agreement_id: str, push_to: str | None, wait_s: float) -> Said:
    """Ask for the data of AGREEMENT_ID, and wait until the transfer runs."""
    if push_to is None:
        return _shown(await client.transfers.pull(agreement_id, timeout_s=wait_s), wanted="STARTED")
    started = await client.transfers.start(agreement_id, transfer_type=HTTP_PUSH, destination={"baseUrl": push_to})
    return _shown(await client.transfers.wait(started, "COMPLETED", timeout_s=wait_s), wanted="COMPLETED")


def _shown(found: Transfer, wanted: str | None = None) -> Said:
    lines = [
        f"transfer   {found.id}",
        f"state      {found.state}",
        f"our role   {found.role.lower()}",
        f"asset      {found.asset_id}",
        f"agreement  {found.agreement_id}",
        f"format     {found.format}",
        *([f"error      {found.error}"] if found.error else []),
    ]
    return Said(found.raw, lines, ok=wanted in (None, found.state))


@transfer.command("list")
@click.option("--state", type=click.Choice(list(TRANSFER), case_sensitive=False), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@on_node
async def list_transfers(client: Client, state: str | None, limit: int) -> Said:
    """List transfers, the latest first."""
    criteria = (Criterion("state", "=", TRANSFER[state.upper()]),) if state else ()
    spec = QuerySpec(limit=limit, sort_field="createdAt", descending=True, criteria=criteria)
    page = await client.transfers.query(spec)
    rows = [(t.id, t.state, t.role.lower(), t.asset_id, t.format, t.error or "") for t in page.items]
    doc = {"total": page.total, "items": [t.raw for t in page.items]}
    columns = ("transfer", "state", "our role", "asset", "format", "error")
    return Said(doc, [f"{len(rows)} of {page.total}"], columns, rows)


@transfer.command("show")
@click.argument("transfer_id")
@on_node
async def show_transfer(client: Client, transfer_id: str) -> Said:
    """Show a transfer as it stands."""
    return _shown(await client.transfers.get(transfer_id))


@transfer.command("timeline")
@click.argument("transfer_id")
@on_node
async def transfer_timeline(client: Client, transfer_id: str) -> Said:
    """Show what happened, what could not be delivered, and whose turn it is."""
    return told(await client.transfers.timeline(transfer_id))


@transfer.command("approve")
@click.argument("transfer_id")
@on_node
async def approve_transfer(client: Client, transfer_id: str) -> Said:
    """As provider, start a transfer that is held for a person."""
    await client.transfers.approve(transfer_id)
    return _done(transfer_id, "start")


@transfer.command("suspend")
@click.argument("transfer_id")
@reason_option
@on_node
async def suspend_transfer(client: Client, transfer_id: str, reason: str) -> Said:
    """Pause a transfer: no data until it is resumed."""
    await client.transfers.suspend(transfer_id, reason)
    return _done(transfer_id, "suspend")


@transfer.command("resume")
@click.argument("transfer_id")
@on_node
async def resume_transfer(client: Client, transfer_id: str) -> Said:
    """Go on with a suspended transfer."""
    await client.transfers.resume(transfer_id)
    return _done(transfer_id, "resume")


@transfer.command("complete")
@click.argument("transfer_id")
@on_node
async def complete_transfer(client: Client, transfer_id: str) -> Said:
    """End a transfer that has done its work."""
    await client.transfers.complete(transfer_id)
    return _done(transfer_id, "complete")


@transfer.command("terminate")
@click.argument("transfer_id")
@reason_option
@on_node
async def terminate_transfer(client: Client, transfer_id: str, reason: str) -> Said:
    """Break a transfer off."""
    await client.transfers.terminate(transfer_id, reason)
    return _done(transfer_id, "terminate")


def _done(transfer_id: str, step: str) -> Said:
    return Said({"@id": transfer_id, "step": step}, [f"{transfer_id}: {step}"])


@click.command()
@click.argument("transfer_id")
@click.option("--path", "subpath", default="", help="What follows the endpoint; it begins with / or ?.")
@semantic_option
@output_option
@on_node
async def fetch(client: Client, transfer_id: str, subpath: str, semantic_id: str | None, output: Path | None) -> Said:
    """Pull the data of a running transfer and verify it.

    The exit code is 1 if any check of the data fails; then nothing is written.
    """
    return received(await client.transfers.fetch(transfer_id, semantic_id=semantic_id, subpath=subpath), output)
