"""What a consumer does: look at a catalog, and get a dataset in one go."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from connector.cli.connection import locate, on_node, provider_options
from connector.cli.terminal import Said
from connector.client import Client, Dataset, Fetched, ModelVerdict
from connector.client.model import Check, Doc
from connector.exchange.query import QuerySpec

_SHOWN: Final = 20
output_option = click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the data to this file."
)
semantic_option = click.option(
    "--semantic-id", help="The aspect model that it has to be; data without proof then fails."
)


@click.command()
@provider_options
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@click.option("--offset", type=click.IntRange(0), default=0, help="How many to leave out first.")
@on_node
async def catalog(client: Client, provider_dsp_url: str, participant: str, limit: int, offset: int) -> Said:
    """Show what the provider at PROVIDER_DSP_URL offers to this node."""
    provider = await locate(client, provider_dsp_url, participant)
    found = await client.catalogs.request(provider, QuerySpec(limit=limit, offset=offset))
    rows = [(d.id, _title(d), ", ".join(d.formats), len(d.offers)) for d in found.datasets]
    lines = [f"{found.participant_id} shows {len(rows) or 'no'} dataset{'s' * (len(rows) != 1)}"]
    return Said(found.raw, lines, ("dataset", "what", "formats", "offers") if rows else (), rows)


def _title(dataset: Dataset) -> str:
    aspect = (dataset.semantic_id or "").rpartition("#")[2]
    name = next((v for k, v in dataset.properties.items() if k.rpartition("/")[2] == "name"), "")
    return " ".join(str(part) for part in (name, f"({aspect})" if aspect else "") if part)


@click.command()
@provider_options
@click.argument("dataset_id")
@semantic_option
@output_option
@on_node
async def obtain(
    client: Client,
    provider_dsp_url: str,
    participant: str,
    dataset_id: str,
    semantic_id: str | None,
    output: Path | None,
) -> Said:
    """Get DATASET_ID: contract, transfer, data, verification.

    The exit code is 1 if any check of the data fails; then nothing is written.
    """
    provider = await locate(client, provider_dsp_url, participant)
    return received(await client.obtain(provider, dataset_id, semantic_id=semantic_id), output)


def received(fetched: Fetched, output: Path | None, *, beside: Sequence[Check] = (), kept: Doc | None = None) -> Said:
    """Say what came and what it is worth; write it to a file only if no check failed.

    beside: checks that were made of more than the data. kept: what is written in place of the data.
    """
    verified, ok = fetched.verified, fetched.ok is not False and all(check.ok for check in beside)
    checks = () if verified is None else verified.checks
    lines = [f"{'ok' if check.ok else 'FAILED':6} {check.name}: {check.detail}" for check in (*checks, *beside)]
    if verified is None:
        lines.append("unproven: the data carries no signature, and none was asked for")
        lines.append(_verdict(fetched.model))
    lines += faults(fetched.model)
    if output is not None and ok:
        output.write_bytes(_bytes(fetched.payload if kept is None else kept))
        lines.append(f"written to {output}")
    elif ok:
        lines.append(_bytes(fetched.payload).decode(errors="replace"))
    doc: dict[str, Any] = {
        "contentType": fetched.content_type,
        "semanticId": fetched.semantic_id,
        "verified": {check.name: {"ok": check.ok, "detail": check.detail} for check in checks} if verified else None,
        "model": fetched.model.to_json(),
        "ok": ok,
    }
    if ok and not isinstance(fetched.payload, bytes):
        doc["payload"] = fetched.payload
    return Said(doc, lines, ok=ok)


def _verdict(model: ModelVerdict) -> str:
    """Whether data that nobody has signed fits its aspect model."""
    sign = {"valid": "ok", "invalid": "FAILED"}.get(model.verdict, "-")
    by = f" (named by the {model.named_by})" if model.named_by else ""
    said = model.reason if model.verdict in {"valid", "invalid"} else f"{model.verdict}: {model.reason}"
    return f"{sign:6} model: {said}{by}"


def faults(model: ModelVerdict) -> list[str]:
    """A line for each fault; a single one is told already."""
    if len(model.faults) == 1:
        return []
    rows = [f"       {pointer or 'the whole payload'}: {message}" for pointer, message in model.faults[:_SHOWN]]
    more = len(model.faults) - _SHOWN
    return [*rows, f"       and {more} more: --json has them all"] if more > 0 else rows


def _bytes(payload: object) -> bytes:
    if isinstance(payload, bytes):
        return payload
    return json.dumps(payload, indent=2, ensure_ascii=False).encode()
