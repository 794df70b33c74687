"""Policies before they are used: what they mean, what is wrong with them, and why somebody is let in or not."""

import json
import re
from pathlib import Path
from typing import Any, Final

import click

from connector.cli.connection import on_node
from connector.cli.publish import read_json
from connector.cli.terminal import Said, json_option, refusals, say
from connector.client import Client
from connector.policy.parse import parse_policy
from connector.policy.templates import template_policy, templates
from connector.policy.validation import departures, faults
from connector.protocol.errors import NotFound

_JWT: Final = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]*", re.ASCII)
_TYPE: Final = re.compile(r"\w+|[a-z]+:\S+", re.ASCII)
"""A name, or a URI that ends in it."""
SCOPES = ("catalog", "negotiation", "transfer", "monitor")


@click.group()
def policy() -> None:
    """Look into policies: templates, faults, and why somebody is let in or not."""


@policy.command("templates")
@click.argument("name", required=False)
@json_option
def show_templates(name: str | None, *, as_json: bool) -> None:
    """List the policies that come with the connector, each with its meaning; show one by its NAME."""
    with refusals(as_json=as_json):
        if name is None:
            rows = [{"name": t.name, "use": t.use, "meaning": t.meaning} for t in templates()]
            said = Said({"templates": rows}, [f"{t.name} ({t.use})\n  {t.meaning}" for t in templates()])
        else:
            doc = template_policy(name)
            said = Said(doc, [json.dumps(doc, indent=2)])
    say(said, as_json=as_json)


@policy.command("check")
@click.argument("source", metavar="POLICY")
@json_option
def check_policy(source: str, *, as_json: bool) -> None:
    """Say what is wrong with POLICY, a file or a template; no node is needed.

    What can never be checked is an error, and the exit code is 1. Departures from Catena-X's profile are advice; a
    policy that names the profile is refused for them by a node.
    """
    with refusals(as_json=as_json):
        document = _document(source)
        if document is None:
            raise NotFound(f"{source} is neither a file nor a template (connector policy templates lists these)")
        read = parse_policy(document)
        wrong, advice = ([fault.text for fault in found(read)] for found in (faults, departures))
    lines = [*(f"error   {text}" for text in wrong), *(f"advice  {text}" for text in advice)]
    doc = {"isValid": not wrong, "errors": wrong, "advice": advice}
    say(Said(doc, lines or ["nothing is wrong with it"], ok=not wrong), as_json=as_json)


@policy.command("explain")
@click.argument("source", metavar="POLICY")
@click.option(
    "--for", "counterparty", help="The counterparty's participant id, or its BPN; what the node knows of it counts."
)
@click.option("--bpn", help="Its business partner number.  [default: what is proven, else the directory's]")
@click.option("--group", "groups", multiple=True, help="A group it is in, in place of those it is in. Repeatable.")
@click.option(
    "--credential",
    "credentials",
    multiple=True,
    help="A credential, in place of those it has proven: a file (JSON or JWT), a JWT, or a type's name. Repeatable.",
)
@click.option("--scope", type=click.Choice(SCOPES), default="negotiation", show_default=True, help="When it is asked.")
@click.option("--at", help="The moment, ISO 8601.  [default: now]")
@click.option("--agreed-at", help="When the agreement was concluded, ISO 8601.  [default: there is none yet]")
@on_node
async def explain_policy(
    client: Client,
    source: str,
    counterparty: str | None,
    bpn: str | None,
    groups: tuple[str, ...],
    credentials: tuple[str, ...],
    scope: str,
    at: str | None,
    agreed_at: str | None,
) -> Said:
    """Judge POLICY for a counterparty and say why: a file, a template, or the id of a policy of the node.

    Nothing comes of it, and the counterparty is not asked. Exit code 1 if it is denied.
    """
    document = _document(source)
    question: dict[str, Any] = {"policyId": source} if document is None else {"policy": document}
    question |= {"counterPartyId": counterparty, "bpn": bpn, "scope": scope, "at": at, "agreedAt": agreed_at}
    question |= {"groups": list(groups) or None}
    question |= {"credentials": [_credential(text) for text in credentials] or None}
    told = await client.policies.explain({name: value for name, value in question.items() if value is not None})
    rows = [(s["pointer"], s.get("needed", ""), s["outcome"], s["found"]) for s in told["trace"]]
    known = ", ".join(name for one in told["credentials"] for name in one["types"]) or "none"
    lines = [
        told["inWords"][0],
        f"groups       {', '.join(told['groups']) or 'none'}",
        f"credentials  {known}",
        f"told to it   {told['publicReason']}",
    ]
    return Said(told, lines, ("place", "needed", "verdict", "found"), rows, ok=told["permitted"])


def _document(source: str) -> dict[str, Any] | None:
    """The policy in a file or a template; None if it is neither."""
    if source in {template.name for template in templates()}:
        return template_policy(source)
    if not Path(source).is_file():
        return None
    doc = read_json(Path(source))
    if not isinstance(doc, dict):
        raise click.UsageError(f"{source} does not hold an ODRL policy, which is a JSON object")
    return doc


def _credential(text: str) -> Any:  # noqa: ANN401 - any JSON
    """What stands in a file, a JWT, or the name of a type; what is none of these is a wrong argument."""
    if _JWT.fullmatch(text):
        return text
    if not Path(text).is_file():
        if _TYPE.fullmatch(text):
            return text
        raise click.UsageError(f"{text!r} is no file, and no name of a credential's type as MembershipCredential")
    content = Path(text).read_bytes().strip()
    if content.startswith(b"{"):
        return read_json(Path(text))
    jwt = content.decode("ascii", errors="replace")
    if not _JWT.fullmatch(jwt):
        raise click.UsageError(f"{text} does not hold a credential: a JSON object, or a JWT (header.payload.signature)")
    return jwt
