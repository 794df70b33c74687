"""Who may see which part of a passport: the class map, and a passport cut along it.

Neither the aspect model nor the regulation says which JSON member belongs to which access class (Regulation (EU)
2023/1542, Annex XIII), so the map is data of our own: `policies/passport-classes.json`. It names fields by JSON pointer
and gathers them in groups, which are disclosed as one; what stands below a field belongs to it, lists are never cut.

A member that the map does not name has no class, and nothing without a class ever leaves: `split` tells it apart, the
publisher is told, and `project` leaves it out whatever else is said. What stands inside a field has the field's class
because the aspect model says what that is; of a member that the model does not know nobody has said who may see it, so
`schema_without` lets none pass, however deep.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Self

from connector.protocol.errors import Invalid
from connector.semantics.registry import data_folder
from connector.semantics.validation import pointer

PUBLIC: Final = "public-model"
COMMERCIAL: Final = "commercial."
"""Classes that no audience has by itself; only a contract opens them."""
CLASSES_FILE: Final = "passport-classes.json"

Tree = dict[str, Any]
"""Nested member names; a leaf is the pointer of a field."""


@dataclass(frozen=True, slots=True)
class Group:
    """Fields (JSON pointers) of one class in one submodel that are disclosed together; `basis` says by which rule."""

    name: str
    submodel: str
    disclosure_class: str
    basis: str
    fields: tuple[str, ...]

    @property
    def title(self) -> str:
        """How a disclosure is called: submodel and name."""
        return f"{self.submodel}/{self.name}"


@dataclass(frozen=True, slots=True)
class Split:
    """A passport by fields: `fields` has the value of each that is there, `unknown` the places that have no class."""

    fields: Mapping[str, Any]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassMap:
    """The classes of one aspect model. Raises Invalid if a field stands twice, below another, or in no known class."""

    edition: str
    aspect: str
    classes: Mapping[str, str]
    groups: tuple[Group, ...]
    _tree: Tree = field(init=False, repr=False)
    _group_of: Mapping[str, Group] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        tree: Tree = {}
        group_of: dict[str, Group] = {}
        for group in self.groups:
            if group.disclosure_class not in self.classes:
                raise Invalid(f"the group {group.title} has the unknown class {group.disclosure_class}")
            for place in group.fields:
                _plant(tree, place)
                group_of[place] = group
        if len({group.title for group in self.groups}) != len(self.groups):
            raise Invalid("two groups of the class map have the same submodel and name")
        object.__setattr__(self, "_tree", tree)
        object.__setattr__(self, "_group_of", group_of)

    @classmethod
    def parse(cls, doc: Mapping[str, Any]) -> Self:
        """Read the data file. Raise Invalid if it is not one."""
        try:
            groups = tuple(
                Group(row["name"], row["submodel"], row["class"], row["basis"], tuple(row["fields"]))
                for row in doc["groups"]
            )
            return cls(doc["edition"], doc["aspect"], dict(doc["classes"]), groups)
        except (KeyError, TypeError) as fault:
            raise Invalid(f"the class map lacks {fault}") from None

    def group_of(self, place: str) -> Group:
        """The group of a field."""
        return self._group_of[place]

    def class_of(self, place: str) -> str | None:
        """The class of a place in a passport: that of the field it is or belongs to. None if it has none of its own."""
        while place:
            if place in self._group_of:
                return self._group_of[place].disclosure_class
            place = place.rpartition("/")[0]
        return None

    def split(self, passport: object) -> Split:
        """Cut a passport into its fields."""
        fields: dict[str, Any] = {}
        unknown: list[str] = []
        _cut(passport, self._tree, (), fields, unknown)
        return Split(fields, tuple(unknown))

    def project(self, passport: object, classes: Iterable[str]) -> dict[str, Any]:
        """What of a passport may be seen by who has these classes: the fields in them, and nothing else."""
        wanted = frozenset(classes)
        found = self.split(passport).fields
        return assemble({at: v for at, v in found.items() if self._group_of[at].disclosure_class in wanted})

    def withheld(self, classes: Iterable[str]) -> tuple[str, ...]:
        """The fields that who has these classes does not see, whether a passport has them or not."""
        wanted = frozenset(classes)
        return tuple(at for at, group in self._group_of.items() if group.disclosure_class not in wanted)


def assemble(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Put fields (pointers of members, never of list elements) together again. Raise Invalid if they collide."""
    whole: dict[str, Any] = {}
    for place, value in fields.items():
        *path, last = _steps(place)
        inner = whole
        for step in path:
            inner = inner.setdefault(step, {})
            if not isinstance(inner, dict):
                raise Invalid("a field stands below another", place)
        if last in inner:
            raise Invalid("a field stands twice, or above another", place)
        inner[last] = value
    return whole


@cache
def class_map() -> ClassMap:
    """The class map delivered with the connector."""
    return ClassMap.parse(json.loads((data_folder("policies") / CLASSES_FILE).read_bytes()))


def schema_without(schema: Mapping[str, Any], withheld: Iterable[str]) -> dict[str, Any]:
    """The JSON Schema of an aspect for a reader from whom fields are withheld.

    Everything is as strict as before, but a withheld field must not be there, what is empty without it may be missing,
    and objects have no members that the schema does not name. So a view that fits shows nothing wrong, nothing withheld
    and nothing unknown, and lacks nothing that it is to show.
    """
    hidden: Tree = {}
    for place in withheld:
        _plant(hidden, place)
    changed, _ = _relaxed(schema, hidden, schema)
    closed: dict[str, Any] = _closed(changed)
    return closed


def _closed(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """A copy in which objects have only members that they name. No Entity of an aspect with a class map is extended."""
    if isinstance(node, list):
        return [_closed(part) for part in node]
    if not isinstance(node, Mapping):
        return node
    open_here = node.get("type") != "object" or "properties" not in node or "allOf" in node
    return {name: _closed(part) for name, part in node.items()} | ({} if open_here else {"additionalProperties": False})


def _relaxed(node: Mapping[str, Any], hidden: Tree, root: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The schema of an object without what is hidden in it, and whether the object may be missing then."""
    while "$ref" in node:
        node = _resolved(root, node["$ref"])
    changed = {**node, "properties": dict(node.get("properties", {}))}
    required = list(node.get("required", ()))
    for name, inner in hidden.items():
        if isinstance(inner, str):
            changed["properties"][name], optional = {"not": {}}, True
        elif name in changed["properties"]:
            changed["properties"][name], optional = _relaxed(changed["properties"][name], inner, root)
        else:
            continue
        if optional and name in required:
            required.remove(name)
    changed.pop("required", None)
    return changed | ({"required": required} if required else {}), not required


def _resolved(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    node: Any = root
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    found: Mapping[str, Any] = node
    return found


def _plant(tree: Tree, place: str) -> None:
    *path, last = _steps(place)
    for step in path:
        tree = tree.setdefault(step, {})
        if not isinstance(tree, dict):
            raise Invalid("a field stands below another", place)
    if last in tree:
        raise Invalid("a field stands twice, or above another", place)
    tree[last] = place


def _steps(place: str) -> list[str]:
    if not place.startswith("/"):
        raise Invalid("a field is named by a JSON pointer that begins with /", place[:200])
    return [step.replace("~1", "/").replace("~0", "~") for step in place[1:].split("/")]


def _cut(node: object, tree: Tree, path: tuple[str, ...], fields: dict[str, Any], unknown: list[str]) -> None:
    if not isinstance(node, dict):
        unknown.append(pointer(path))
        return
    for name, value in node.items():
        inner = tree.get(name)
        if inner is None:
            unknown.append(pointer((*path, name)))
        elif isinstance(inner, str):
            fields[inner] = value
        else:
            _cut(value, inner, (*path, name), fields, unknown)
