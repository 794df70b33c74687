"""`connector passport`: publish battery passports, get those of others, and prove what a file says.

`verify` and `diff` work on files alone: no node, no network. A bundle that `fetch` has written is enough.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from connector.cli.connection import on_node
from connector.cli.consume import faults
from connector.cli.find import find
from connector.cli.publish import JSON_FILE, policy_named, read_json
from connector.cli.terminal import Said, json_option, refusals, say
from connector.client import Client, For, ModelVerdict
from connector.identity.did import keys_in
from connector.passport.audiences import lattice
from connector.passport.canonical import canonical, parse
from connector.passport.diff import changes
from connector.passport.disclosure import class_map
from connector.passport.report import KIND, Bundle, verify
from connector.passport.signature import Resolve
from connector.protocol.errors import ConnectorError, Invalid


@click.group()
def passport() -> None:
    """Battery passports: signed once, disclosed in part."""


passport.add_command(find)


@passport.command()
@click.argument("file", type=JSON_FILE)
@click.option(
    "--for",
    "readers",
    multiple=True,
    metavar="AUDIENCE[:PURPOSE][=BPN,...]",
    help="Who may have it: those named, as partner:cx.circular.dpp:1=BPNL..., or all of an audience on the terms that"
    " come with the connector for it, as interest:recycle, authority:surveillance or public. Repeatable.",
)
@click.option("--disclose", "classes", multiple=True, help="For partners: only these disclosure classes. Repeatable.")
@click.option(
    "--policy",
    help="The terms: a template (see `connector policy templates`), a file with an ODRL policy, or the id of a policy"
    " of this node.  [default: the BPNs named with --for, else what fits the audience]",
)
@click.option("--access", help="Who may see the offer, in the same forms.  [default: what goes with the terms]")
@click.option("--date", "day", help="The day at which it has to be complete, as 2027-02-18.  [default: today]")
@on_node
async def publish(
    client: Client,
    file: Path,
    readers: tuple[str, ...],
    classes: tuple[str, ...],
    policy: str | None,
    access: str | None,
    day: str | None,
) -> Said:
    """Check the passport in FILE, sign it, keep it as a new version, and offer it.

    A passport that does not fit its aspect model, or is not complete, is refused; then nothing has changed.
    """
    if classes and not any(reader.startswith("partner:") for reader in readers):
        raise click.UsageError("--disclose is for partners: what others see, the table of audiences says")
    offers = [_for(reader, classes, policy, access) for reader in readers]
    done = await client.passports.publish(read_json(file), [offer for offer, _ in offers], date=day)
    what = "published" if done["new"] else "unchanged:"
    lines = [f"{what} version {done['version']} of {done['@id']}, serial number {done['serial']}"]
    complete = done["completeness"]
    lines.append(f"complete for {complete['category']} at {complete['date']} ({complete['points']} points)")
    lines += [f"early: {p['number']} {p['name']} is filled, but not due yet" for p in complete["early"]]
    rows = zip(done["offers"], offers, strict=True)
    lines += [f"offered as {name}{f' ({terms})' if terms else ''}" for name, (_, terms) in rows]
    return Said(done, lines)


def _for(text: str, classes: tuple[str, ...], policy: str | None, access: str | None) -> tuple[For, str]:
    """One --for, and the templates it is on if it names nobody and no policy is given.

    Purposes may hold colons (cx.circular.dpp:1), so only the first one ends the audience.
    """
    reader, _, named = text.partition("=")
    audience, _, purpose = reader.partition(":")
    partners = [bpn.strip() for bpn in named.split(",") if bpn.strip()]
    rule = lattice().rule(audience, purpose)
    if rule is None:
        raise click.UsageError(f"--for {reader}: nobody is called that; known are {', '.join(lattice().names())}")
    if partners and policy is not None:
        raise click.UsageError("--for names partners and --policy names a policy: use one of them")
    opened = classes if classes and audience == "partner" else None
    said = ""
    if partners:
        policy, guard = "by-bpn", access or "by-bpn"
    elif policy is not None:
        guard = access or policy
    elif rule.terms is not None:
        policy, guard = rule.terms.usage, access or rule.terms.access
        said = f"access {guard}, usage {policy}"
    else:
        raise click.UsageError(
            f"--for {text}: who? No credential proves this audience, so name BPNs after =, or the policy that lets them"
            " in with --policy"
        )
    return For(audience, purpose, policy_named(guard, partners), policy_named(policy, partners), opened), said


@passport.command()
@click.argument("file", type=JSON_FILE)
@click.option("--date", "day", help="The day, as 2027-02-18.  [default: today]")
@on_node
async def check(client: Client, file: Path, day: str | None) -> Said:
    """Tell what is missing in FILE for its battery's category. Exit code 1 if anything is."""
    found = await client.passports.check(read_json(file), date=day)
    rows = [(p["number"], p["name"], "missing", ", ".join(p["fields"])) for p in found["missing"]]
    rows += [(p["number"], p["name"], p["due"], "filled") for p in found["early"]]
    lines = [f"{found['category']} at {found['date']}: {'complete' if found['complete'] else 'not complete'}"]
    return Said(found, lines, ("no.", "point", "what", "fields") if rows else (), rows, ok=found["complete"])


@passport.command()
@click.argument("passport_id")
@click.option("--version", "number", type=click.IntRange(1), help="This version.  [default: the newest]")
@click.option("--as", "reader", metavar="AUDIENCE[:PURPOSE]", help="Only what this reader sees, as interest:recycle.")
@on_node
async def show(client: Client, passport_id: str, number: int | None, reader: str | None) -> Said:
    """Show a passport of this node: its newest versions and what is in it, or what a reader sees of it."""
    if reader is not None and number is not None:
        raise click.UsageError("readers see the newest version: give --as or --version")
    if reader is not None:
        audience, _, purpose = reader.partition(":")
        view = await client.passports.view(passport_id, audience, purpose)
        lines = [f"classes: {', '.join(view['classes'])}", *(f"withheld: {place}" for place in view["withheld"])]
        return Said(view, [*lines, _pretty(view["passport"])])
    found = await client.passports.get(passport_id, version=number)
    rows = [(v["version"], _time(v["createdAt"]), v["size"], v["groups"]) for v in found.get("versions", [found])]
    lines = [f"{found['@id']}, serial number {found['serial']}", _pretty(found["passport"])]
    return Said(found, lines, ("version", "signed", "bytes", "groups"), rows)


@passport.command()
@click.option("--from", "did", required=True, help="The DID of who published it.")
@click.option("--serial", required=True, help="The serial number on the battery.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Keep the bundle in this file.")
@on_node
async def fetch(client: Client, did: str, serial: str, output: Path | None) -> Said:
    """Get a passport: contract (or the one there is), transfer, data, verdict.

    Exit code 1 if any check fails; then nothing is written.
    """
    got = await client.passports.fetch(await client.passports.locate(did), serial)
    checks = {**got["verification"], **got["report"]["checks"]}
    lines = [*_checks(checks), *faults(ModelVerdict.of(got["model"])), *_fields(got["report"]), _verdict(checks)]
    if got["ok"] and output is not None:
        lines.append(_kept(output, got["bundle"]))
    return Said(got, lines, ok=bool(got["ok"]))


def _kept(file: Path, bundle: Mapping[str, Any]) -> str:
    file.write_text(_pretty(bundle) + "\n", encoding="utf-8")
    return f"written to {file}"


@passport.command("verify")
@click.argument("file", type=JSON_FILE)
@click.option("--key", "document", type=JSON_FILE, help="The issuer's DID document.  [default: the one in FILE]")
@json_option
def verify_file(file: Path, document: Path | None, *, as_json: bool) -> None:
    """Prove what the bundle in FILE says, offline.

    For each visible field: who signed it, when, with which key. For each hidden group: its class and digest only. The
    exit code is 0 if all holds, 1 if anything does not, or FILE is no bundle, and 2 if there is nothing to judge: no
    such file, no JSON, or no DID document after --key.
    """
    with refusals(as_json=as_json):
        bundle = Bundle.parse(_read(file))
        if document is None:
            report = verify(bundle, keys_in(bundle.did_document))
        else:
            issuer, keys = _keys(document)
            report = verify(bundle, keys, issuer=issuer)
        doc = report.to_json()
        where = "the DID document in the file" if document is None else str(document)
        fetched = f"fetched {_time(bundle.fetched_at)}; keys from {where}"
        lines = [*_checks(doc["checks"]), fetched, *_fields(doc), _verdict(doc["checks"])]
    say(Said(doc, lines, ok=report.ok), as_json=as_json)


@passport.command()
@click.argument("before", type=JSON_FILE)
@click.argument("after", type=JSON_FILE)
@json_option
def diff(before: Path, after: Path, *, as_json: bool) -> None:
    """Show what changed from one passport to another: plain aspects, or bundles.

    The exit code is 0 if nothing did, 1 if something did, and 2 if one of the files is no passport.
    """
    with refusals(as_json=as_json):
        found = changes(_aspect(before), _aspect(after), class_map())
    rows = [(c.kind, c.place, _short(c.before), _short(c.after), c.disclosure_class or "") for c in found]
    doc = [
        {"kind": c.kind, "field": c.place, "before": c.before, "after": c.after, "class": c.disclosure_class}
        for c in found
    ]
    lines = [] if rows else ["no difference"]
    columns = ("what", "field", "before", "after", "class") if rows else ()
    say(Said(doc, lines, columns, rows, ok=not rows), as_json=as_json)


def _read(file: Path) -> Any:  # noqa: ANN401 - any JSON
    """The JSON in a file. What two readers may read in two ways is refused: only one of them would be proven right."""
    try:
        doc = parse(file.read_bytes())
        canonical(doc)
    except Invalid as fault:
        raise click.UsageError(f"{file} is not JSON that can be proven or compared: {fault}") from None
    return doc


def _aspect(file: Path) -> object:
    """The passport in a file: a plain aspect, or that of a bundle."""
    doc = _read(file)
    aspect = doc.get("aspect") if isinstance(doc, dict) and doc.get("type") == KIND else doc
    if not isinstance(aspect, dict) or not class_map().split(aspect).fields:
        raise click.UsageError(f"{file} holds no passport, neither plain nor in a bundle")
    return aspect


def _keys(file: Path) -> tuple[str, Resolve]:
    """The DID, and the keys in its document, which is the user's own."""
    try:
        document = _read(file)
        keys = keys_in(document)
        return str(document["id"]), keys
    except ConnectorError as fault:
        raise click.UsageError(f"{file} is no DID document: {fault}") from None


def _checks(checks: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    return (f"{'ok' if check['ok'] else 'FAILED':6} {name}: {check['detail']}" for name, check in checks.items())


def _verdict(checks: Mapping[str, Mapping[str, Any]]) -> str:
    """One line to end a long report with."""
    failed = [name for name, check in checks.items() if not check["ok"]]
    return f"NOT verified: {', '.join(failed)}" if failed else f"verified: {', '.join(checks)}"


def _fields(report: Mapping[str, Any]) -> Sequence[str]:
    """A line for each visible field, and for each hidden group."""
    shown = [
        f"{row['field']}  [{row['class']}] signed {_time(row['issuedAt'])} by {row['issuer']} with {row['key']}"
        for row in report["fields"]
    ]
    return [*shown, *(f"hidden  [{row['class']}] {row['digest']}" for row in report["hidden"])]


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _short(value: object) -> str:
    text = "" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004 - a column of a table


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
