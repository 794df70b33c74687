"""`connector doctor`: look at a node, and say how to mend what is wrong."""

import asyncio
from pathlib import Path

import click

from connector.cli.terminal import Said, json_option, refusals, say
from connector.config import load


@click.command()
@click.option(
    "--config",
    "file",
    envvar="CONNECTOR_CONFIG",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The node's TOML file.",
)
@click.option("--url", help="The node's management API, if it is not where the settings say on this machine.")
@click.option("--no-negotiation", is_flag=True, help="Leave out the test negotiation.")
@json_option
def doctor(file: Path, url: str | None, *, no_negotiation: bool, as_json: bool) -> None:
    """Check a node: key, TLS, DID, addresses, clock, credentials, directory, and a test negotiation with itself.

    The exit code is 1 if something is bad. Each finding says how to mend it.
    """
    from connector.onboarding.doctor import Patient, diagnose, healthy  # noqa: PLC0415 - for this command only

    with refusals(as_json=as_json):
        patient = Patient.of(load(file), url)
        findings = asyncio.run(diagnose(patient, negotiate=not no_negotiation))
    well = healthy(findings)
    rows = [(f.verdict.value, f.check, f.what) for f in findings]
    mending = [f"{f.check}: {f.mend}" for f in findings if f.mend]
    say(
        Said({"ok": well, "findings": [f.to_json() for f in findings]}, (), ("verdict", "check", "what"), rows),
        as_json=as_json,
    )
    if not as_json and mending:
        click.echo("\nTo mend it:")
        for line in mending:
            click.echo(f"  {line}")
    if not well:
        raise SystemExit(1)
