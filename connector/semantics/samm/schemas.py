"""The JSON Schema of an Aspect from its model files, remembered on disk if a folder for that is given.

Reading a model takes a tenth of a second and loading rdflib another one, so a command that is called once per payload
wants neither. What is remembered carries the SHA-256 of every file it was made of and the names of the model files in
every folder that was looked into: if any of it changed, or this package did, the schema is made anew. The folder must
be writable only by those who may decide which payloads are valid.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from connector.semantics.samm.datatypes import Schema
from connector.semantics.samm.json_schema import json_schema
from connector.semantics.samm.library import Library, model_files
from connector.semantics.samm.modes import OFFICIAL, Rules
from connector.semantics.samm.reading import read_aspect

_MAX_ENTRY: Final = 16 << 20


def aspect_schema(
    model: Path | None,
    aspect: str,
    *,
    rules: Rules = OFFICIAL,
    roots: tuple[Path, ...] = (),
    remembered: Path | None = None,
) -> Schema:
    """Derive the schema of an Aspect.

    model: a Turtle file or a folder of them, whose root is two levels above the folder; None: the roots alone.
    aspect: its URN. roots: further folders with `<namespace>/<version>/*.ttl`, asked after the model's own root.
    remembered: a folder for schemas made before.
    Raises Invalid if the model cannot be read or resolved; the reason names file and element.
    """
    entry = remembered / f"{_key(model, aspect, rules, roots)}.json" if remembered is not None else None
    if entry is not None and (known := _recall(entry)) is not None:
        return known
    library = Library(model, roots)
    schema = json_schema(read_aspect(library, aspect), rules)
    if entry is not None:
        _remember(entry, library, schema)
    return schema


def _key(model: Path | None, aspect: str, rules: Rules, roots: tuple[Path, ...]) -> str:
    places = [str(place.resolve()) for place in roots]
    asked = [_own_digest(), str(model.resolve()) if model else "", aspect, asdict(rules), places]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@cache
def _own_digest() -> str:
    """The digest of this package: another version may make another schema of the same files."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def _recall(entry: Path) -> Schema | None:
    """Give the schema of an entry, None if there is none or what it was made of has changed."""
    try:
        with entry.open("rb") as stream:
            known: Any = json.loads(stream.read(_MAX_ENTRY))
        sound = all(_digest(Path(file)) == digest for file, digest in known["files"].items()) and all(
            list(model_files(Path(folder))) == names for folder, names in known["folders"].items()
        )
        schema: Schema = known["schema"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return schema if sound and isinstance(schema, dict) else None


def _remember(entry: Path, library: Library, schema: Schema) -> None:
    """Write an entry whole or not at all; a folder that cannot be written costs time, not correctness."""
    known = {
        "files": {str(file): digest for file, digest in library.digests.items()},
        "folders": {str(folder): names for folder, names in library.listed.items()},
        "schema": schema,
    }
    draft = entry.with_suffix(f".{uuid4().hex}")
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(json.dumps(known).encode())
        draft.replace(entry)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
