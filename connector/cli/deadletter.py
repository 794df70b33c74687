"""Messages that could not be delivered: see why, and send them again."""

import click

from connector.cli.connection import on_node
from connector.cli.terminal import Said
from connector.client import Client
from connector.exchange.query import QuerySpec


@click.group()
def deadletter() -> None:
    """Look after messages that could not be delivered."""


@deadletter.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@on_node
async def list_dead_letters(client: Client, limit: int) -> Said:
    """List them, oldest first."""
    page = await client.dead_letters.query(QuerySpec(limit=limit))
    rows = [(d.id, d.event, d.url, d.attempts, d.error) for d in page.items]
    doc = {"total": page.total, "items": [d.raw for d in page.items]}
    return Said(doc, [f"{len(rows)} of {page.total}"], ("message", "event", "to", "attempts", "last error"), rows)


@deadletter.command("retry")
@click.argument("message_id")
@on_node
async def retry_dead_letter(client: Client, message_id: str) -> Said:
    """Try to deliver one once more, now."""
    await client.dead_letters.retry(message_id)
    return Said({"retried": message_id}, [f"{message_id} is under way again"])
