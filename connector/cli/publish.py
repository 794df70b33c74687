"""What a provider does: publish payloads, offer assets, look after them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from connector.cli.connection import on_node
from connector.cli.terminal import Said
from connector.client import Asset, Client, template
from connector.client.offering import names_partners
from connector.exchange.query import QuerySpec
from connector.policy.templates import templates

JSON_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
policy_option = click.option(
    "--policy",
    default="open",
    show_default=True,
    help="The terms: a file with an ODRL policy, a template (see `connector policy templates`), or the id of a "
    "policy of this node.",
)
access_option = click.option("--access", help="Who may see the offer, in the same forms.  [default: as --policy]")
partner_option = click.option("--bpn", "partners", multiple=True, help="A partner; templates name these. Repeatable.")


@click.command()
@click.argument("file", type=JSON_FILE)
@click.option("--asset-id", required=True, help="The asset that the payload is kept under; made or replaced.")
@click.option("--semantic-id", required=True, help="The aspect model, as urn:samm:...:6.1.0#BatteryPass.")
@click.option("--name", help="A name for people, shown in catalogs.")
@click.option("--no-offer", is_flag=True, help="Publish only: nobody sees it until it is offered.")
@policy_option
@access_option
@partner_option
@on_node
async def publish(
    client: Client,
    file: Path,
    asset_id: str,
    semantic_id: str,
    name: str | None,
    policy: str,
    access: str | None,
    partners: tuple[str, ...],
    *,
    no_offer: bool,
) -> Said:
    """Check the JSON in FILE against its aspect model, sign it, keep it, and offer it.

    A payload that does not fit is refused with the JSON pointer of the first mistake; then nothing has changed.
    """
    payload = read_json(file)
    terms, guard = _terms(policy, access, partners) if not no_offer else ("", "")
    published = await client.payloads.publish(
        asset_id, payload, semantic_id=semantic_id, properties={"name": name} if name else None
    )
    lines = [f"published {asset_id}: {published['size']} bytes, {published['digest']}"]
    if not no_offer:
        await client.offer(f"offer-{asset_id}", [asset_id], access=guard, contract=terms)
        lines.append(f"offered as offer-{asset_id}")
    return Said(published, lines)


@click.command()
@click.argument("asset_ids", nargs=-1, required=True)
@click.option("--offer-id", help="The contract definition's id.  [default: offer-ASSET_ID]")
@policy_option
@access_option
@partner_option
@on_node
async def offer(
    client: Client,
    asset_ids: tuple[str, ...],
    offer_id: str | None,
    policy: str,
    access: str | None,
    partners: tuple[str, ...],
) -> Said:
    """Offer assets: a contract definition and its policies, made or replaced."""
    terms, guard = _terms(policy, access, partners)
    ident = offer_id or f"offer-{asset_ids[0]}"
    await client.offer(ident, asset_ids, access=guard, contract=terms)
    return Said({"@id": ident, "assets": list(asset_ids)}, [f"offered {', '.join(asset_ids)} as {ident}"])


def _terms(
    policy: str, access: str | None, partners: tuple[str, ...]
) -> tuple[str | dict[str, Any], str | dict[str, Any]]:
    return policy_named(policy, partners), policy_named(access or policy, partners)


def policy_named(text: str, partners: Sequence[str] = ()) -> str | dict[str, Any]:
    """A policy from a file or a template, or the id of one that the node has."""
    if text in {known.name for known in templates()}:
        return template(text, partners if names_partners(text) else ())
    if Path(text).is_file():
        policy = read_json(Path(text))
        if not isinstance(policy, dict):
            raise click.UsageError(f"{text} does not hold an ODRL policy, which is a JSON object")
        return policy
    return text


def read_json(file: Path) -> Any:  # noqa: ANN401 - any JSON
    """The content of a file. A file that is no JSON is a wrong argument."""
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise click.UsageError(f"{file} is not JSON: {error}") from error


@click.group()
def asset() -> None:
    """Look after assets."""


@asset.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@click.option("--offset", type=click.IntRange(0), default=0, help="How many to leave out first.")
@on_node
async def list_assets(client: Client, limit: int, offset: int) -> Said:
    """List assets, oldest first."""
    page = await client.assets.query(QuerySpec(limit=limit, offset=offset))
    rows = [(a.id, a.properties.get("name", ""), a.data_address.get("type", "")) for a in page.items]
    doc = {"total": page.total, "items": [a.raw for a in page.items]}
    return Said(doc, [f"{len(page.items)} of {page.total}"], ("asset", "name", "data"), rows)


@asset.command("show")
@click.argument("asset_id")
@on_node
async def show_asset(client: Client, asset_id: str) -> Said:
    """Show an asset with its properties."""
    found: Asset = await client.assets.get(asset_id)
    members = {**found.properties, **{f"data address: {k}": v for k, v in found.data_address.items()}}
    return Said(found.raw, (), ("property", "value"), sorted((k, str(v)) for k, v in members.items()))


@asset.command("remove")
@click.argument("asset_id")
@on_node
async def remove_asset(client: Client, asset_id: str) -> Said:
    """Withdraw an asset; refused while an agreement or a running negotiation is about it."""
    await client.assets.remove(asset_id)
    return Said({"removed": asset_id}, [f"removed {asset_id}"])
