"""What a command says: JSON for programs, tables for people; colours and frames only where somebody looks.

A command returns what it has to say and does not print; that it was refused is an error, or `ok=False`. An answer that
nobody can read is neither: whoever has closed the pipe (`| head`) has read enough, and a full disk is told on stderr.
"""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

import click

from connector.protocol.errors import ConnectorError

FAILED: Final = 1
UNWRITTEN: Final = 2
READER_GONE: Final = 141
"""As the shell has it of programs that a closed pipe has ended: 128 and the number of SIGPIPE."""
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
    with printing():
        if as_json:
            click.echo(json.dumps(said.doc, indent=2, ensure_ascii=False))
        else:
            for line in said.lines:
                click.echo(line)
            if said.columns:
                table(said.columns, said.rows)
    if not said.ok:
        sys.exit(FAILED)


@contextmanager
def printing() -> Iterator[None]:
    """Have what is printed inside arrive, or leave: quietly if the reader has gone, else with the reason and 2."""
    if not sys.stdout:  # Python has none where it was closed
        _unwritten(errno.EBADF)
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        reader_gone()
    except OSError as fault:
        _print_no_more()
        _unwritten(fault.errno or errno.EIO)


def _unwritten(number: int) -> NoReturn:
    click.echo(f"error: standard output cannot be written: {os.strerror(number)}", err=True)
    sys.exit(UNWRITTEN)


def reader_gone() -> NoReturn:
    """Leave without a word, as other programs at a pipe do."""
    _print_no_more()
    sys.exit(READER_GONE)


def _print_no_more() -> None:
    """Let nothing that is printed or waits be written, or Python would complain of it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        with printing():
            click.echo(json.dumps(told() if told else {"errors": [{"message": error.reason, "path": error.pointer}]}))
    else:
        click.echo(f"error: {error}", err=True)
