"""Which JSON Schema stands for which semantic id, and where data files lie.

A semantic id names an aspect of a SAMM model, for instance `urn:samm:io.catenax.pcf:7.0.0#Pcf`; it travels in the
catalog, in twins and beside each payload. The schemas are data: `schemas/index.json` maps the id to a file, so an
operator adds a model without touching code. Compiling takes milliseconds and validating microseconds: each schema is
compiled once, when it is first needed.
"""

import json
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from connector.protocol.errors import Invalid

if TYPE_CHECKING:
    from jsonschema_rs import Validator

INDEX: Final = "index.json"
_PACKAGE: Final = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """Find a folder of data files, such as "schemas": inside the installed package, or beside it in a checkout.

    Raises Invalid if it is in neither place, which only a broken installation can cause.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise Invalid(f"the data folder '{name}' is missing; install the connector again")


class SchemaRegistry:
    """The schemas of one folder by semantic id, read and compiled when first asked for. Safe to share by threads.

    folder: holds `index.json`, {"<semantic id>": "<file name>"}, and the files it names.
    Raises Invalid if the index cannot be read or names a file outside the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = _index(folder)
        self._compiled: dict[str, Validator] = {}
        self._lock = Lock()

    @property
    def semantic_ids(self) -> tuple[str, ...]:
        """The semantic ids that have a schema, sorted."""
        return tuple(sorted(self._files))

    def schema(self, semantic_id: str) -> dict[str, Any]:
        """Read the JSON Schema of a semantic id. Raises Invalid if none is known, or if its file is not JSON."""
        if semantic_id not in self._files:
            known = ", ".join(self.semantic_ids) or "none"
            raise Invalid(f"no schema is known for the semantic id '{semantic_id[:200]}'; known are: {known}")
        return _read(self._folder / self._files[semantic_id])

    def validator(self, semantic_id: str) -> "Validator":
        """Return the compiled schema of a semantic id. Raises Invalid if none is known or it is not a schema."""
        with self._lock:
            if semantic_id not in self._compiled:
                self._compiled[semantic_id] = _compile(semantic_id, self.schema(semantic_id))
            return self._compiled[semantic_id]


@cache
def bundled() -> SchemaRegistry:
    """Return the registry of the schemas delivered with the connector, one per process."""
    return SchemaRegistry(data_folder("schemas"))


def _index(folder: Path) -> dict[str, str]:
    files = _read(folder / INDEX)
    for semantic_id, name in files.items():
        if not isinstance(name, str) or Path(name).name != name:
            raise Invalid(f"{INDEX} must map '{semantic_id}' to a file name in the same folder")
    return files


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes())
    except OSError as fault:
        raise Invalid(f"the schema file {file.name} cannot be read: {fault.strerror}") from None
    except ValueError as fault:
        raise Invalid(f"the schema file {file.name} is not JSON: {fault}") from None
    if not isinstance(document, dict):
        raise Invalid(f"the schema file {file.name} does not hold a JSON object")
    return document


def _compile(semantic_id: str, schema: dict[str, Any]) -> "Validator":
    import jsonschema_rs  # noqa: PLC0415 - 10 MB that a node without validation need not load

    try:
        # offline: a schema comes from an operator, but a $ref in it must not make us call an address
        return jsonschema_rs.validator_for(schema, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError) as fault:
        raise Invalid(f"the schema of '{semantic_id}' is not usable: {fault}") from None
