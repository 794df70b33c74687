"""The OpenAPI files as material for attacks: every operation, and schemas that know what is on the node.

A schema that says no more than "a string" makes requests that end at the first look-up. So half of all requests are
made of schemas in which the places of names of existing things allow only stand-ins such as `known~agreement`. They are
replaced when the request is sent: the examples of a run depend on its seed alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from typing_extensions import override

FOLDER: Final = Path(__file__).parents[2] / "docs" / "openapi"
METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_MARK: Final = "known~"
"""Nothing of it is quoted in a path."""
_SCHEMAS: Final = "#/components/schemas/"
_AIMED: Final = "aimed-"
_REQUEST: Final = {"parameters", "requestBody"}
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
"""Which of the known things a member or parameter may name, on the surfaces of an exchange."""
_BY_NAME_OF_TRUST: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("credential", "request", "key"),
    "bpn": ("member", "invited"),
    "did": ("holder",),
    "issuer": ("issuer",),
    "holderPid": ("asked", "told"),
    "payload": ("jwt",),
    "scope": ("scope",),
    "client_id": ("client",),
    "client_secret": ("secret",),
    "audience": ("verifier",),
    "bearer_access_scope": ("scope",),
}
"""The same for wallets and authorities."""
TRUST: Final = ("dcp", "authority", "register")


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
def document(surface: str, *, aimed: bool = False) -> dict[str, Any]:
    """An OpenAPI file without its security: strangers are no subject here, insiders are.

    aimed: requests name what exists, and what the file gives as examples, wherever they can. (Both in one schema will
    not do: the generators see that a stand-in is a text among texts, and leave it out.)
    """
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{surface}.yaml").read_text(encoding="utf-8"))
    del found["security"], found["components"]["securitySchemes"]
    aim = _Aim(_BY_NAME_OF_TRUST if surface in TRUST else _BY_NAME)
    for item in found["paths"].values():
        for method in METHODS & item.keys():
            item[method].pop("security", None)
        if aimed:
            for request in (item, *(item[method] for method in METHODS & item.keys())):
                request.update({key: aim(request[key]) for key in _REQUEST & request.keys()})
    if aimed:
        pieces = found["components"]
        pieces |= {key: aim(pieces[key]) for key in ("parameters", "requestBodies") if key in pieces}
        pieces["schemas"] |= {f"{_AIMED}{name}": aim(schema) for name, schema in pieces["schemas"].items()}
    return found


def operations() -> Iterator[Operation]:
    """Every operation of every file."""
    for file in sorted(FOLDER.glob("*.yaml")):
        for path, item in document(file.stem)["paths"].items():
            yield from (Operation(file.stem, method, path) for method in item if method in METHODS)


@dataclass(frozen=True)
class _Aim:
    """Makes a part of a request aimed; `words` are what members and parameters may name."""

    words: Mapping[str, tuple[str, ...]]

    def __call__(self, node: Any) -> Any:  # noqa: ANN401 - any YAML
        if isinstance(node, list):
            return [self(item) for item in node]
        if not isinstance(node, dict):
            return node
        out = {key: self(item) for key, item in node.items()}
        if isinstance(properties := out.get("properties"), dict):
            out["properties"] = {name: self._hinted(name, schema) for name, schema in properties.items()}
        if "in" in out and "schema" in out:
            out["schema"] = self._hinted(out["name"], out["schema"])
        if isinstance(where := out.get("$ref"), str):
            out["$ref"] = where.replace(_SCHEMAS, _SCHEMAS + _AIMED)
        return out

    def _hinted(self, name: str, schema: Any) -> Any:  # noqa: ANN401 - any YAML
        """What is known under this name, and the examples that the file gives; the schema itself if there are none."""
        if not isinstance(schema, dict):
            return schema
        if schema.get("type") == "array" and "items" in schema:
            return {**schema, "items": self._hinted(name, schema["items"])}
        kind = schema.get("type")
        known = [f"{_MARK}{word}" for word in self.words.get(name, ())] if kind == "string" else []
        known += schema.get("examples", []) if kind in ("string", "integer") else []
        return {"enum": known} if known else schema


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
