"""Which JSON Schema stands for which semantic id, and where data files lie.

A semantic id names an aspect of a SAMM model, for instance `urn:samm:io.catenax.pcf:7.0.0#Pcf`; it travels in the
catalog, in twins and beside each payload. The schemas are data: `schemas/index.json` maps the id to a file, so an
operator adds one without touching code. Those delivered with the connector are what `connector schema export` makes of
the models beside them, so that a node need not read Turtle; a folder of models that the operator names comes first.
Compiling takes milliseconds and validating microseconds: each schema is compiled once, whatever its name.
"""

import hashlib
import json
import re
from collections import OrderedDict
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from connector.protocol.errors import Invalid

if TYPE_CHECKING:
    from jsonschema_rs import Validator

INDEX: Final = "index.json"
MAX_COMPILED: Final = 64
"""Compiled schemas kept in a process; the one that was not used for longest goes first."""

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_ASPECT_DIALECT: Final = "http://json-schema.org/draft-04/schema"
_SEMANTIC_ID: Final = re.compile(r"urn:[sb]amm:([\w-]+(?:\.[\w-]+)*):([0-9]+\.[0-9]+\.[0-9]+)#\w+", re.ASCII)


def data_folder(name: str) -> Path:
    """Find a folder of data files, such as "schemas": inside the installed package, or beside it in a checkout.

    Raises Invalid if it is in neither place, which only a broken installation can cause.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise Invalid(f"the data folder '{name}' is missing; install the connector again")


class _Compiled:
    """Compiled schemas by the digest of their content."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_digest: OrderedDict[bytes, Validator] = OrderedDict()

    def get(self, schema: dict[str, Any], name: str, *, formats: bool | None) -> "Validator":
        digest = hashlib.sha256(json.dumps([formats, schema], sort_keys=True).encode()).digest()
        with self._lock:
            if digest not in self._by_digest:
                self._by_digest[digest] = _compile(name, schema, formats=formats)
            self._by_digest.move_to_end(digest)
            while len(self._by_digest) > MAX_COMPILED:
                self._by_digest.popitem(last=False)
            return self._by_digest[digest]


_COMPILED: Final = _Compiled()


def compiled(schema: dict[str, Any], name: str, *, formats: bool | None = None) -> "Validator":
    """Compile a schema, or return what came of the same content before.

    name: for the error. formats: whether `format` is checked; left out, the dialect decides, and of draft-04, which
    is the dialect of aspect schemas and leaves it open, the answer is no.
    Raises Invalid if it is not a schema.
    """
    if formats is None:
        formats = False if schema.get("$schema") == _ASPECT_DIALECT else None
    return _COMPILED.get(schema, name, formats=formats)


class SchemaRegistry:
    """The schemas of one folder by semantic id, read and compiled when first asked for. Safe to share by threads.

    folder: holds `index.json`, {"<semantic id>": "<file name>"}, and the files it names.
    models: aspect models of the operator's own, as `<namespace>/<version>/*.ttl`; they come first.
    remembered: where the schemas made of these models are kept for the next start.
    Raises Invalid if the index cannot be read or names a file outside the folder, or there is no folder of models.
    """

    def __init__(self, folder: Path, *, models: Path | None = None, remembered: Path | None = None) -> None:
        if models is not None and not models.is_dir():
            raise Invalid(f"the folder of aspect models, {models}, does not exist")
        self._folder = folder
        self._files = _index(folder)
        self._models = models
        self._remembered = remembered
        self._validators: dict[str, Validator] = {}
        self._lock = Lock()

    @property
    def semantic_ids(self) -> tuple[str, ...]:
        """The semantic ids that have a schema in the folder, sorted; models are found when they are asked for."""
        return tuple(sorted(self._files))

    def schema(self, semantic_id: str) -> dict[str, Any]:
        """Give the JSON Schema of a semantic id.

        Raises Invalid if none is known, its file is not JSON, or its model cannot be resolved.
        """
        if (model := self._model(semantic_id)) is not None:
            from connector.semantics.samm.schemas import aspect_schema  # noqa: PLC0415 - most nodes have no own models

            return aspect_schema(model, semantic_id, remembered=self._remembered)
        if semantic_id not in self._files:
            known = ", ".join(self.semantic_ids) or "none"
            raise Invalid(f"no schema is known for the semantic id '{semantic_id[:200]}'; known are: {known}")
        return _read(self._folder / self._files[semantic_id])

    def validator(self, semantic_id: str) -> "Validator":
        """Return the compiled schema of a semantic id. Raises Invalid if none is known or it is not a schema."""
        with self._lock:
            if semantic_id not in self._validators:
                self._validators[semantic_id] = compiled(self.schema(semantic_id), semantic_id)
            return self._validators[semantic_id]

    def _model(self, semantic_id: str) -> Path | None:
        """The operator's folder for the namespace of a semantic id, if there is one."""
        if self._models is None or not (name := _SEMANTIC_ID.fullmatch(semantic_id)):
            return None
        folder = self._models / name[1] / name[2]
        return folder if folder.is_dir() else None


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


def _compile(name: str, schema: dict[str, Any], *, formats: bool | None) -> "Validator":
    import jsonschema_rs  # noqa: PLC0415 - 10 MB that a node without validation need not load

    try:
        # offline: a schema comes from an operator, but a $ref in it must not make us call an address
        return jsonschema_rs.validator_for(schema, offline=True, validate_formats=formats)
    except (ValueError, jsonschema_rs.ReferencingError) as fault:
        raise Invalid(f"the schema of '{name}' is not usable: {fault}") from None
