"""`connector db`: a node's database, from outside."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

import click

from connector import config as settings
from connector.cli.terminal import Said, json_option, refusals, say
from connector.protocol.errors import Invalid

DATABASE: Final = "connector.sqlite"
F = TypeVar("F", bound=Callable[..., object])

config_option: Callable[[F], F] = click.option(
    "--config",
    "file",
    envvar="CONNECTOR_CONFIG",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The node's TOML file; its store.url says where the database is.",
)


@click.group()
def db() -> None:
    """A node's database: bring its tables up to date, look for damage, make a copy."""


@db.command("migrate")
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--new-key", is_flag=True, help="PostgreSQL: let the node have another signing key from its next start on."
)
@json_option
def migrate_db(file: Path, *, dry_run: bool, new_key: bool, as_json: bool) -> None:
    """Create the tables or bring them to this version's revision. The node must not run.

    A node does this by itself when it starts; do it before to know that it works, or where replicas share a database.
    """
    with refusals(as_json=as_json):
        said = _migrated(settings.load(file), dry_run=dry_run, new_key=new_key)
    say(said, as_json=as_json)


def _migrated(node: settings.Config, *, dry_run: bool, new_key: bool) -> Said:
    from connector.storage.schema import HEAD  # noqa: PLC0415 - the database's libraries, for these commands only

    upkeep, place = _upkeep(node)
    if new_key and node.database == "sqlite":
        raise Invalid("--new-key is for PostgreSQL: a node on SQLite signs with the key it finds", "/store/url")
    before = upkeep.revision(place)
    if not dry_run:
        if before != HEAD:
            upkeep.migrate(place)
        if new_key:
            upkeep.forget_key(place)
    told = "it is at" if before == HEAD else f"from {before or 'nothing'} to"
    would = " (not done)" if dry_run and before != HEAD else ""
    doc = {"from": before, "to": HEAD, "changed": before != HEAD and not dry_run, "newKey": new_key and not dry_run}
    return Said(doc, [f"{_named(node)}: {told} revision {HEAD}{would}"])


@db.command("check")
@config_option
@json_option
def check_db(file: Path, *, as_json: bool) -> None:
    """Look for damage and for what would never be finished; a line each. Changes nothing; the node may run."""
    with refusals(as_json=as_json):
        node = settings.load(file)
        upkeep, place = _upkeep(node)
        found = upkeep.check(place)
    doc = {"ok": not found, "findings": [{"table": f.table, "id": f.id, "what": f.what} for f in found]}
    lines = [str(finding) for finding in found] or [f"{_named(node)}: nothing is wrong"]
    say(Said(doc, lines, ok=not found), as_json=as_json)


@db.command("backup")
@config_option
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def backup_db(file: Path, target: Path, *, as_json: bool) -> None:
    """Copy the database to the new file TARGET and check the copy; the node may run.

    TARGET holds secrets and tokens, and is readable by its owner only. The signing key is not in it.
    """
    with refusals(as_json=as_json):
        upkeep, place = _upkeep(settings.load(file))
        size = upkeep.backup(place, target.absolute())
    say(Said({"file": str(target), "bytes": size}, [f"{target}: {size} bytes, checked"]), as_json=as_json)


def _upkeep(node: settings.Config) -> tuple[ModuleType, Path | str]:
    """What looks after this node's database, and where that is. Raise Invalid if its driver is not installed."""
    if node.database == "sqlite":
        from connector.storage import upkeep  # noqa: PLC0415 - as above

        return upkeep, node.data.absolute() / DATABASE
    try:
        from connector.storage import postgres_upkeep  # noqa: PLC0415 - as above
    except ImportError as error:
        raise Invalid(
            "PostgreSQL's driver is not installed: pip install 'battery-passport-connector[postgres]'", "/store/url"
        ) from error
    return postgres_upkeep, node.database


def _named(node: settings.Config) -> str:
    """The database as it may be shown: a URL may hold a password."""
    return str(node.data / DATABASE) if node.database == "sqlite" else "the database of store.url"
