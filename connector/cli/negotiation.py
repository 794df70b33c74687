"""Contract negotiations: ask for one, and decide where a person decides."""

import click

from connector.cli.connection import locate, on_node, provider_options
from connector.cli.terminal import Said
from connector.client import Client, Negotiation, Timeline
from connector.client.exchanging import by_id, one_dataset
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.states import NEGOTIATION

wait_option = click.option(
    "--wait", "wait_s", type=click.FloatRange(0, 60), default=30, show_default=True, help="At most so many seconds."
)


@click.command()
@provider_options
@click.argument("dataset_id")
@click.option("--offer-id", help="Which of its offers.  [default: the first]")
@wait_option
@on_node
async def negotiate(
    client: Client, provider_dsp_url: str, participant: str, dataset_id: str, offer_id: str | None, wait_s: float
) -> Said:
    """Ask for a contract on DATASET_ID, on exactly the terms of the catalog, and wait until it is final."""
    provider = await locate(client, provider_dsp_url, participant)
    dataset = one_dataset(await client.catalogs.request(provider, by_id(dataset_id)), dataset_id)
    offers = [o for o in dataset.offers if offer_id in (None, o.id)]
    if not offers:
        raise click.UsageError(f"there is no such offer; there are {', '.join(o.id for o in dataset.offers)}")
    return _shown(await client.negotiations.conclude(provider, offers[0], timeout_s=wait_s), wanted="FINALIZED")


def _shown(found: Negotiation, wanted: str | None = None) -> Said:
    lines = [
        f"negotiation  {found.id}",
        f"state        {found.state}",
        f"our role     {found.role.lower()}",
        f"partner      {found.counterparty_id}",
        f"asset        {found.asset_id}",
        *([f"agreement    {found.agreement_id}"] if found.agreement_id else []),
        *([f"error        {found.error}"] if found.error else []),
    ]
    return Said(found.raw, lines, ok=wanted in (None, found.state))


@click.group()
def negotiation() -> None:
    """Look after negotiations."""


@negotiation.command("list")
@click.option("--state", type=click.Choice(list(NEGOTIATION), case_sensitive=False), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@on_node
async def list_negotiations(client: Client, state: str | None, limit: int) -> Said:
    """List negotiations, the latest first."""
    criteria = (Criterion("state", "=", NEGOTIATION[state.upper()]),) if state else ()
    spec = QuerySpec(limit=limit, sort_field="createdAt", descending=True, criteria=criteria)
    page = await client.negotiations.query(spec)
    rows = [(n.id, n.state, n.role.lower(), n.asset_id, n.counterparty_id, n.error or "") for n in page.items]
    doc = {"total": page.total, "items": [n.raw for n in page.items]}
    columns = ("negotiation", "state", "our role", "asset", "partner", "error")
    return Said(doc, [f"{len(rows)} of {page.total}"], columns, rows)


@negotiation.command("show")
@click.argument("negotiation_id")
@on_node
async def show_negotiation(client: Client, negotiation_id: str) -> Said:
    """Show a negotiation as it stands."""
    return _shown(await client.negotiations.get(negotiation_id))


@negotiation.command("approve")
@click.argument("negotiation_id")
@on_node
async def approve_negotiation(client: Client, negotiation_id: str) -> Said:
    """Let a negotiation that is held for a person take its next step."""
    step = await client.negotiations.approve(negotiation_id)
    return Said({"@id": negotiation_id, "step": step}, [f"{negotiation_id}: {step}"])


@negotiation.command("terminate")
@click.argument("negotiation_id")
@click.option("--reason", required=True, help="The counterparty is told.")
@on_node
async def terminate_negotiation(client: Client, negotiation_id: str, reason: str) -> Said:
    """End a negotiation."""
    await client.negotiations.terminate(negotiation_id, reason)
    return Said({"@id": negotiation_id, "step": "terminate"}, [f"{negotiation_id}: terminate"])


@negotiation.command("timeline")
@click.argument("negotiation_id")
@on_node
async def negotiation_timeline(client: Client, negotiation_id: str) -> Said:
    """Show what happened, what could not be delivered, and whose turn it is."""
    return told(await client.negotiations.timeline(negotiation_id))


def told(timeline: Timeline) -> Said:
    """A timeline for people."""
    lines = [
        f"state   {timeline.state}",
        f"awaits  {timeline.awaits}",
        *(f"undelivered  {message}" for message in timeline.undelivered),
    ]
    rows = [(entry.at, entry.what, entry.detail) for entry in timeline.history]
    return Said(timeline.raw, lines, ("when", "what", "detail"), rows)
