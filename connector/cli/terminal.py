"""What a command says: JSON for programs, tables for people; colours and frames only where somebody looks.

A command returns what it has to say and does not print; that it was refused is an error, or `ok=False`.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import click

from connector.protocol.errors import ConnectorError

FAILED: Final = 1
F = TypeVar("F", bound=Callable[..., Any])

json_option: Callable[[F], F] = click.option("--json", "as_json", is_flag=True, help="Answer with JSON.")


@dataclass(frozen=True, slots=True)
class Said:
    """A command's answer: `doc` for programs, lines and then a table for people. Not `ok`: exit code 1."""

    doc: Any
    lines: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = field(default=())
    ok: bool = True


def say(said: Said, *, as_json: bool) -> None:
    """Print an answer, and leave with 1 if it is not a good one."""
    if as_json:
        click.echo(json.dumps(said.doc, indent=2, ensure_ascii=False))
    else:
        for line in said.lines:
            click.echo(line)
        if said.columns:
            table(said.columns, said.rows)
    if not said.ok:
        sys.exit(FAILED)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: framed for a person at a terminal, in plain columns for a file or a pipe."""
    cells = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - most commands do without
        from rich.table import Table  # noqa: PLC0415 - the same

        framed = Table(*columns)
        for row in cells:
            framed.add_row(*row)
        Console(highlight=False, markup=False).print(framed)
        return
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
    for row in [list(columns), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def refusals(*, as_json: bool) -> Iterator[None]:
    """Turn errors into a line on stderr (or JSON on stdout) and exit code 1."""
    try:
        yield
    except ConnectorError as error:
        complain(error, as_json=as_json)
        sys.exit(FAILED)


def complain(error: ConnectorError, *, as_json: bool) -> None:
    """Say what is wrong."""
    if as_json:
        told = getattr(error, "to_json", None)
        click.echo(json.dumps(told() if told else {"errors": [{"message": error.reason, "path": error.pointer}]}))
    else:
        click.echo(f"error: {error}", err=True)
