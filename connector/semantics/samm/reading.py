"""An Aspect, read from statements (SAMM 2.3.0, meta model elements). What cannot be resolved is refused by name.

A reader that overlooks something makes a schema that accepts everything, so nothing is overlooked: an element that is
not defined, a Property without Characteristic, a Characteristic without data type, a construct that nobody knows, and
Characteristics that go in circles are errors which name element and file. Entities may contain themselves: they are
read one after the other, never one inside the other.
"""

from typing import Final

from connector.protocol.errors import Invalid
from connector.semantics.samm import builtin, turtle
from connector.semantics.samm.constraints import read_constraint
from connector.semantics.samm.library import Library
from connector.semantics.samm.model import (
    Aspect,
    Characteristic,
    Collection,
    Constraint,
    DataType,
    Either,
    Entity,
    EntityType,
    Enumeration,
    Instance,
    Plain,
    Property,
    Scalar,
    Trait,
    Value,
)
from connector.semantics.samm.turtle import Literal, Node

MAX_DEPTH: Final = 32
"""Characteristics, or instances, inside one another; Entities that extend one another."""
MAX_VALUES: Final = 100_000
"""Enumerated values of one Aspect that are not literals."""
MAX_ENTITIES: Final = 5_000
"""Entities of one Aspect; the largest published one has some 150."""

_PLAIN: Final = frozenset(
    ("samm:Characteristic", *(f"samm-c:{name}" for name in ("Code", "Quantifiable", "Measurement", "Duration")))
) | {"samm-c:StructuredValue", "samm-c:SingleEntity"}
_ENUMERATIONS: Final = frozenset(("samm-c:Enumeration", "samm-c:State"))
_COLLECTIONS: Final = {
    "samm-c:Collection": False,
    "samm-c:List": False,
    "samm-c:Set": True,
    "samm-c:SortedSet": True,
    "samm-c:TimeSeries": True,
}
_KINDS: Final = _PLAIN | _ENUMERATIONS | _COLLECTIONS.keys() | {"samm-c:Either", "samm-c:Trait"}


def read_aspect(library: Library, urn: str) -> Aspect:
    """Read an Aspect and every Entity that can be reached from it. urn: in the spelling of SAMM or BAMM.

    Raises Invalid if there is no such Aspect, or anything in it cannot be resolved.
    """
    return _Reader(library).aspect(turtle.normal(urn))


class _Reader:
    def __init__(self, library: Library) -> None:
        self._library = library
        self._known: dict[str, Characteristic] = {}
        self._entities: dict[str, Entity] = {}
        self._wanted: list[str] = []
        self._values_read = 0

    def aspect(self, urn: str) -> Aspect:
        try:
            kinds = self._types(urn)
        except Invalid as fault:
            there = ", ".join(self._library.aspects) or "none"
            raise Invalid(f"{fault.reason}; Aspects that were read: {there}") from None
        if "samm:Aspect" not in kinds:
            raise self._fault(urn, "is not an Aspect")
        properties = self._properties(urn)
        while self._wanted:
            name = self._wanted.pop()
            if name not in self._entities:
                self._entities[name] = self._entity(name)
            if len(self._entities) > MAX_ENTITIES:
                raise self._fault(urn, f"has more than {MAX_ENTITIES} Entities")
        self._check_extensions()
        return Aspect(urn, properties, self._entities)

    def _entity(self, urn: str) -> Entity:
        if urn in builtin.ENTITIES:
            return builtin.ENTITIES[urn]
        extends = self._library.one(urn, "samm:extends") or self._library.one(urn, "samm:refines")
        parent = self._wants(urn, extends).urn if extends is not None else ""
        abstract = "samm:AbstractEntity" in self._types(urn)
        return Entity(urn, self._properties(urn, needed=not parent), parent, abstract)

    def _check_extensions(self) -> None:
        """Refuse an Entity that extends itself, however far the way round is, and a way that is too far."""
        for urn in self._entities:
            above = urn
            for _ in range(MAX_DEPTH):
                above = self._entities[above].extends
                if not above:
                    break
            else:
                raise self._fault(urn, "extends itself, or is extended too often")

    def _properties(self, owner: str, *, needed: bool = True) -> tuple[Property, ...]:
        head = self._library.one(owner, "samm:properties")
        if head is None:
            if needed:
                raise self._fault(owner, "has no samm:properties")
            return ()
        found: dict[tuple[str, str], Property] = {}
        for entry in self._library.entries(owner, head):
            prop = self._property(owner, entry)
            if prop is None:
                continue
            key = (prop.name, prop.urn)
            if key not in found or not prop.optional:  # listed twice: required wins
                found[key] = prop
        return tuple(found.values())

    def _property(self, owner: str, entry: Node) -> Property | None:
        """Read an entry of samm:properties; None if it does not appear in payloads."""
        if isinstance(entry, Literal):
            raise self._fault(owner, f"lists the text '{entry.text[:40]}' as a Property")
        if not entry.startswith(turtle.BLANK):
            return self._named_property(owner, entry)
        extended, named = (self._library.one(entry, f"samm:{word}") for word in ("extends", "property"))
        urn = named or extended
        if not isinstance(urn, str):
            raise self._fault(owner, "lists a Property without saying which")
        if self._flag(entry, "samm:notInPayload"):
            return None
        prop = self._named_property(owner, urn, extension=None if named else entry)
        if prop is None:
            return None
        name = self._library.one(entry, "samm:payloadName")
        said = name.text if isinstance(name, Literal) else prop.name
        return Property(said, prop.urn, prop.characteristic, self._flag(entry, "samm:optional"))

    def _named_property(self, owner: str, urn: str, *, extension: str | None = None) -> Property | None:
        """Read a Property. extension: the blank node that gives an abstract one its Characteristic."""
        name = urn.rpartition("#")[2].rpartition(":")[2]
        if extension is not None:
            self._must_be_property(owner, urn)
            given = self._library.one(extension, "samm:characteristic")
            if given is None:
                raise self._fault(urn, f"is extended by {owner} without a Characteristic")
            return Property(name, urn, self._characteristic(given, (urn,)))
        if urn in builtin.PROPERTIES:
            return Property(name, urn, builtin.PROPERTIES[urn])
        if self._must_be_property(owner, urn):
            return None
        return Property(name, urn, self._characteristic(self._own_characteristic(urn), (urn,)))

    def _must_be_property(self, owner: str, urn: str) -> bool:
        """Tell whether a Property is abstract; raise Invalid if it is none."""
        if urn in builtin.ABSTRACT_PROPERTIES:
            return True
        types = self._types(urn, owner)
        if not types & {"samm:Property", "samm:AbstractProperty"}:
            raise self._fault(urn, f"is listed by {owner}, but is not a Property")
        return "samm:AbstractProperty" in types

    def _own_characteristic(self, urn: str) -> Node:
        """The Characteristic of a Property, or of the Property it extends."""
        asked: list[str] = []
        name: Node | None = urn
        while isinstance(name, str) and name not in asked and name not in builtin.ABSTRACT_PROPERTIES:
            asked.append(name)
            if (given := self._library.one(name, "samm:characteristic")) is not None:
                return given
            name = self._library.one(name, "samm:extends")
        raise self._fault(urn, "has no Characteristic")

    def _characteristic(self, node: Node, via: tuple[str, ...]) -> Characteristic:
        """Read a Characteristic. via: the elements that led here, the Property first."""
        if isinstance(node, Literal) or node in via or len(via) > MAX_DEPTH:
            raise self._fault(via[0], "has a Characteristic that goes in circles, is nested too deeply, or is a text")
        if node in builtin.CHARACTERISTICS:
            return builtin.CHARACTERISTICS[node]
        if node not in self._known:
            self._known[node] = self._fresh(node, (*via, node))
        return self._known[node]

    def _fresh(self, node: str, via: tuple[str, ...]) -> Characteristic:
        named = node if not node.startswith(turtle.BLANK) else via[-2]
        kinds = self._types(node, via[-2])
        known = sorted(kinds & _KINDS - {"samm:Characteristic"}) or sorted(kinds & _KINDS)
        if len(known) != 1:
            raise self._fault(named, "is or has a Characteristic of no known kind")
        kind = known[0]
        if kind == "samm-c:Trait":
            return Trait(self._part(node, "samm-c:baseCharacteristic", via), self._constraints(node))
        if kind == "samm-c:Either":
            return Either(self._part(node, "samm-c:left", via), self._part(node, "samm-c:right", via))
        if kind in _COLLECTIONS:
            if self._library.one(node, "samm-c:elementCharacteristic") is None:
                return Collection(Plain(self._data_type(node, via)), _COLLECTIONS[kind])
            return Collection(self._part(node, "samm-c:elementCharacteristic", via), _COLLECTIONS[kind])
        data_type = self._data_type(node, via)
        if kind in _ENUMERATIONS:
            return Enumeration(data_type, self._values(node))
        single = kind == "samm-c:SingleEntity"
        if single and isinstance(data_type, Scalar):
            raise self._fault(node, f"is a SingleEntity of {data_type.name}, which is not an Entity")
        return Plain(data_type, single)

    def _part(self, node: str, predicate: str, via: tuple[str, ...]) -> Characteristic:
        part = self._library.one(node, predicate)
        if part is None:
            raise self._fault(node, f"has no {predicate}")
        return self._characteristic(part, via)

    def _data_type(self, node: str, via: tuple[str, ...]) -> DataType:
        named = self._library.one(node, "samm:dataType")
        owner = next(name for name in reversed(via) if not name.startswith(turtle.BLANK))
        if not isinstance(named, str) or named.startswith(turtle.BLANK):
            raise self._fault(owner, "has a Characteristic without data type" if owner != node else "has no data type")
        return self._wants(owner, named) if named.startswith(("urn:samm:", "samm-e:")) else Scalar(named)

    def _wants(self, owner: str, urn: Node) -> EntityType:
        """Remember an Entity to read. Raises Invalid if it is none."""
        if not isinstance(urn, str):
            raise self._fault(owner, "names a text where an Entity should be")
        if urn not in builtin.ENTITIES and not self._types(urn, owner) & {"samm:Entity", "samm:AbstractEntity"}:
            raise self._fault(urn, f"is used as an Entity by {self._library.holder(owner)}, but is none")
        self._wanted.append(urn)
        return EntityType(urn)

    def _constraints(self, node: str) -> tuple[Constraint, ...]:
        named = self._library.about(node).get("samm-c:constraint", ())
        if not named:
            raise self._fault(node, "is a Trait without samm-c:constraint")
        found = [read_constraint(self._library, node, constraint) for constraint in named]
        return tuple(constraint for constraint in found if constraint is not None)

    def _values(self, node: str) -> tuple[Value, ...]:
        head = self._library.one(node, "samm-c:values")
        entries = self._library.entries(node, head) if head is not None else []
        if not entries:
            raise self._fault(node, "is an enumeration without values")
        return tuple(self._value(node, entry, 0) for entry in entries)

    def _value(self, owner: str, node: Node, depth: int) -> Value:
        """Read a literal, a samm:Value, an Entity instance, or a list of these."""
        if isinstance(node, Literal):
            return node
        about = self._library.about(node) if node != f"{turtle.RDF}nil" else {}
        if f"{turtle.RDF}first" in about or not about:
            return tuple(self._single(owner, entry, depth + 1) for entry in self._library.entries(owner, node))
        return self._single(owner, node, depth)

    def _single(self, owner: str, node: Node, depth: int) -> Literal | Instance:
        if isinstance(node, Literal):
            return node
        self._values_read += 1
        if depth > MAX_DEPTH or self._values_read > MAX_VALUES:
            raise self._fault(owner, "has values that go in circles, are nested too deeply, or are too many")
        if "samm:Value" in self._types(node):
            literal = self._library.one(node, "samm:value")
            if not isinstance(literal, Literal):
                raise self._fault(node, "is a samm:Value without samm:value")
            return literal
        entity = self._library.one(node, turtle.TYPE)
        said = self._library.about(node)
        asserted = [name for name in said if name.startswith(("urn:samm:", "samm-e:"))]
        values = ((name, self._value(node, self._only(node, name), depth + 1)) for name in asserted)
        return Instance(self._wants(node, entity or Literal("")).urn, tuple(values))

    def _only(self, node: str, predicate: str) -> Node:
        found = self._library.one(node, predicate)
        return Literal("") if found is None else found

    def _types(self, name: str, by: str = "") -> set[str]:
        """What an element is. by: the element that refers to it, for the error if it is not defined."""
        try:
            about = self._library.about(name)
        except Invalid as fault:
            if by:
                raise self._fault(by, f"refers to what is not there: {fault.reason}") from None
            raise
        return {kind for kind in about.get(turtle.TYPE, ()) if isinstance(kind, str)}

    def _flag(self, node: str, predicate: str) -> bool:
        value = self._library.one(node, predicate)
        return isinstance(value, Literal) and value.text in ("true", "1")

    def _fault(self, element: str, reason: str) -> Invalid:
        return Invalid(f"{self._library.place(element)} {reason}")
