"""`connector schema`: what aspect models ask of payloads. Works on files; no node is asked.

Exit codes are for scripts: 1 says that a payload is not valid, and nothing else does. A model that cannot be resolved
or a file that cannot be read is a usage error, 2.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal, InvalidOperation
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

import click
import orjson

from connector.cli.terminal import Said, json_option, printing, say
from connector.protocol.errors import Invalid
from connector.semantics.registry import compiled, data_folder
from connector.semantics.samm.modes import MODES, Rules
from connector.semantics.samm.schemas import aspect_schema
from connector.semantics.validation import faults_by, valid_by

if TYPE_CHECKING:
    from jsonschema_rs import Validator

MAX_PAYLOAD: Final = 64 << 20
"""Bytes of a payload file, and of one line of a batch."""
MAX_DIGITS: Final = 4300
"""Of a number; so many Python reads, as more cost too much."""


class Aspect(NamedTuple):
    """What --model, --aspect, --mode, --rule and --cache ask for."""

    urn: str
    schema: dict[str, Any]
    formats: bool

    @property
    def validator(self) -> "Validator":
        """The compiled schema."""
        return compiled(self.schema, self.urn, formats=self.formats)


def on_aspect(command: Callable[..., Said | None]) -> Callable[..., None]:
    """Give a command the options that name an Aspect, and the Aspect as first argument; say what it returns."""

    @wraps(command)
    def run(
        *args: Any,
        model: Path | None,
        aspect: str,
        mode: str,
        rules: tuple[str, ...],
        cache: Path | None,
        as_json: bool,
        **others: Any,
    ) -> None:
        try:
            said = command(_aspect(model, aspect, Rules.mode(mode, rules), cache), *args, **others)
        except Invalid as fault:
            raise click.UsageError(str(fault)) from None
        if said is not None:
            say(said, as_json=as_json)

    for option in reversed(_OPTIONS):
        run = option(run)
    return json_option(run)


_OPTIONS: Final = (
    click.option(
        "--model",
        type=click.Path(path_type=Path, exists=True),
        help="The model: a Turtle file or its folder. What it refers to is looked for as NAMESPACE/VERSION/*.ttl, two "
        "levels above the folder.  [default: the models delivered with the connector]",
    ),
    click.option("--aspect", required=True, help="URN of the Aspect, as urn:samm:...:6.1.0#BatteryPass."),
    click.option(
        "--mode",
        type=click.Choice(MODES),
        default=MODES[0],
        show_default=True,
        help="Judge as the official generator's schemas do, or as strictly as SAMM means it.",
    ),
    click.option(
        "--rule",
        "rules",
        multiple=True,
        help="Add a rule of the strict mode, as 'closed', or take it away, as 'no-closed'. Repeatable.",
    ),
    click.option(
        "--cache",
        envvar="CONNECTOR_SCHEMA_CACHE",
        type=click.Path(path_type=Path, file_okay=False),
        help="A folder for schemas made before, so that an unchanged model is not read again. Also "
        "CONNECTOR_SCHEMA_CACHE.",
    ),
)


_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)


@click.group()
def schema() -> None:
    """Aspect models as JSON Schema, and payloads judged by them."""


@schema.command()
@on_aspect
def export(aspect: Aspect) -> Said:
    """Print the JSON Schema (draft-04) of an Aspect."""
    return Said(aspect.schema, [json.dumps(aspect.schema, indent=2, ensure_ascii=False)])


@schema.command()
@click.argument("payload", type=_FILE)
@on_aspect
def validate(aspect: Aspect, payload: Path) -> Said:
    """Check the JSON in PAYLOAD. Prints the place and reason of each fault; exit code 1 if there is one."""
    with _opened(payload) as stream:
        content = stream.read(MAX_PAYLOAD + 1)
    found = faults_by(aspect.validator, _json(content, str(payload)))
    told = [{"pointer": fault.pointer, "message": fault.message} for fault in found]
    lines = [fault.text for fault in found] or [f"valid: {aspect.urn}"]
    return Said({"aspect": aspect.urn, "valid": not found, "faults": told}, lines, ok=not found)


@schema.command("validate-batch")
@click.argument("file", type=_FILE)
@on_aspect
def validate_batch(aspect: Aspect, file: Path) -> None:
    """Check many payloads: lines {"id": ..., "payload": ...} in FILE, lines {"id": ..., "valid": ...} out.

    The answer is JSON with and without --json, and the exit code is 0 whatever the verdicts are.
    """
    validator = aspect.validator
    with printing():
        for number, line in enumerate(_lines(file), 1):
            if not line.strip():
                continue
            doc = _json(line, f"line {number}")
            if not isinstance(doc, dict) or not doc.keys() >= {"id", "payload"}:
                raise click.UsageError(f"line {number} is not an object with the members 'id' and 'payload'")
            verdict = {"id": doc["id"], "valid": valid_by(validator, doc["payload"])}
            sys.stdout.write(json.dumps(verdict, ensure_ascii=True) + "\n")


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, or of standard input for "-"; that they cannot be read is no verdict on them."""
    try:
        with click.open_file(str(file), "rb") as stream:
            yield stream
    except (OSError, RuntimeError) as fault:  # click's RuntimeError: standard input is closed
        raise click.UsageError(f"{file} cannot be read: {fault}") from None


def _lines(file: Path) -> Iterator[bytes]:
    with _opened(file) as stream:
        while line := stream.readline(MAX_PAYLOAD + 1):
            yield line


def _aspect(model: Path | None, urn: str, rules: Rules, cache: Path | None) -> Aspect:
    roots = () if model is not None else (data_folder("schemas"),)
    schema = aspect_schema(model, urn, rules=rules, roots=roots, remembered=cache)
    return Aspect(urn, schema, rules.formats)


def _json(content: bytes, name: str) -> Any:  # noqa: ANN401 - any JSON
    """Read JSON in UTF-8, or in UTF-16 or with a byte order mark, as some published examples are."""
    if len(content) > MAX_PAYLOAD:
        raise click.UsageError(f"{name} is longer than {MAX_PAYLOAD} bytes")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass  # what follows is slower and takes more: other encodings, numbers of any size
    try:
        return json.loads(content, parse_constant=_no_number, parse_int=_whole, parse_float=_number)
    except (ValueError, RecursionError) as fault:
        raise click.UsageError(f"{name} is not JSON: {fault}") from None


def _whole(text: str) -> int:
    if len(text.removeprefix("-")) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _number(text: str) -> float:
    """A number with a fraction or an exponent; beyond what a float can hold, the whole number that it is."""
    if math.isfinite(number := float(text)):
        return number
    with suppress(InvalidOperation):  # an exponent of twenty digits
        exact = Decimal(text)
        if exact.adjusted() < MAX_DIGITS and (whole := int(exact)) == exact:
            return whole
    raise ValueError(f"a number has more than {MAX_DIGITS} digits, or hundreds of them and a fraction")


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
