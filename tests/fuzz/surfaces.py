"""The OpenAPI files as material for attacks: every operation, and schemas that know what is on the node.

A schema that says no more than "a string" makes requests that end at the first look-up. So the places where names of
existing things belong also allow stand-ins such as `known:agreement`, which are replaced when the request is sent: the
examples of a run then depend on its seed alone.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from typing_extensions import override

from connector.semantics.contexts import DSPACE_URL

FOLDER: Final = Path(__file__).parents[2] / "docs" / "openapi"
METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_MARK: Final = "known:"
_PROCESSES: Final = ("negotiation", "asked", "contract", "transfer", "pull")
OURS: Final = ("negotiation", "transfer")
"""The processes in which the node is the provider."""
_BY_NAME: Final[Mapping[str, tuple[str, ...]]] = {
    "@id": ("asset", "policy", "definition", "offer", "agreement", "owned"),
    "id": ("asset", "policy", "definition", "agreement", "owned", *_PROCESSES),
    "pid": _PROCESSES,
    "consumerPid": ("asked", "contract", "pull"),
    "providerPid": ("negotiation", "transfer"),
    "target": ("asset",),
    "assetId": ("asset",),
    "accessPolicyId": ("policy",),
    "contractPolicyId": ("policy",),
    "contractDefinitionId": ("definition",),
    "agreementId": ("agreement", "owned"),
    "contractId": ("owned",),
    "counterPartyAddress": ("address",),
    "callbackAddress": ("address",),
    "knownConnectors": ("address",),
    "uri": ("address",),
    "counterPartyId": ("them",),
    "assigner": ("us", "them"),
    "assignee": ("us", "them"),
}
"""Which of the known things a member or parameter may name."""


class Operation(NamedTuple):
    """A method on a path of one of the files."""

    surface: str
    method: str
    path: str

    @override
    def __str__(self) -> str:
        return f"{self.surface} {self.method.upper()} {self.path}"

    @property
    def can_be_misused(self) -> bool:
        """Whether a request can miss the schema: every text fits a path, and any bytes fit an asset's backend."""
        item = document(self.surface)["paths"][self.path]
        body = "requestBody" in item[self.method] and self.surface != "data-plane"
        return body or any("$ref" not in p and p["in"] == "query" for p in item[self.method].get("parameters", ()))


@cache
def document(surface: str) -> dict[str, Any]:
    """An OpenAPI file with sharpened schemas, and without its security: strangers are no subject here, insiders are."""
    found: dict[str, Any] = _sharpened(yaml.safe_load((FOLDER / f"{surface}.yaml").read_text(encoding="utf-8")))
    del found["security"], found["components"]["securitySchemes"]
    for item in found["paths"].values():
        for method in METHODS & item.keys():
            item[method].pop("security", None)
    return found


def operations() -> Iterator[Operation]:
    """Every operation of every file."""
    for file in sorted(FOLDER.glob("*.yaml")):
        for path, item in document(file.stem)["paths"].items():
            yield from (Operation(file.stem, method, path) for method in item if method in METHODS)


def _sharpened(node: Any) -> Any:  # noqa: ANN401 - any YAML
    if isinstance(node, list):
        return [_sharpened(item) for item in node]
    if not isinstance(node, dict):
        return node
    out = {key: _sharpened(item) for key, item in node.items()}
    if isinstance(properties := out.get("properties"), dict):
        out["properties"] = {name: _hinted(name, schema) for name, schema in properties.items()}
    if "in" in out and "schema" in out:
        out["schema"] = _hinted(out["name"], out["schema"])
    return out


def _hinted(name: str, schema: Any) -> Any:  # noqa: ANN401 - any YAML
    """A schema that also allows what is known under this name, and the examples that the file gives."""
    if name == "@context" and isinstance(schema, dict) and "contains" in schema:
        return {"anyOf": [{"const": [DSPACE_URL]}, schema]}
    words = [f"{_MARK}{word}" for word in _BY_NAME.get(name, ())]
    if not isinstance(schema, dict) or schema.get("type") != "string":
        return schema
    words += schema.get("examples", [])
    return {"anyOf": [{"enum": words}, schema]} if words else schema


def process(value: Any, known: Mapping[str, str]) -> dict[str, str]:  # noqa: ANN401 - any JSON
    """Both pids of the process that a stand-in names, as a message about it carries them."""
    word = value.removeprefix(_MARK) if isinstance(value, str) else ""
    if word not in _PROCESSES:
        return {}
    own, other = known[word], known[f"{word}'s"]
    return {"consumerPid": other, "providerPid": own} if word in OURS else {"consumerPid": own, "providerPid": other}


def named(value: Any, known: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """The same value with the names of real things for the stand-ins."""
    if isinstance(value, str) and value.startswith(_MARK):
        return known.get(value.removeprefix(_MARK), value)
    if isinstance(value, list):
        return [named(item, known) for item in value]
    return {key: named(item, known) for key, item in value.items()} if isinstance(value, dict) else value
