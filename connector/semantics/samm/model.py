"""An aspect model as far as payloads need it: what may stand where. Names, units and descriptions are left out.

Entities are named, not nested, because they may contain themselves; everything else is a finite tree.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from connector.protocol.errors import Invalid
from connector.semantics.samm.turtle import Literal


@dataclass(frozen=True, slots=True)
class Scalar:
    """A data type of single values: "xsd:string", "rdf:langString", "samm:curie", or one that nobody knows."""

    name: str


@dataclass(frozen=True, slots=True)
class EntityType:
    """A data type of objects, by the URN of its Entity."""

    urn: str


DataType = Scalar | EntityType


@dataclass(frozen=True, slots=True)
class Instance:
    """An Entity instance, as enumerations list them: what it asserts, by the URN of the Property."""

    entity: str
    assertions: tuple[tuple[str, "Value"], ...]


Value = Literal | Instance | tuple[Literal | Instance, ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """Characteristic, Code, Quantifiable, Measurement, Duration, StructuredValue: the data type says all.

    `single_entity`: it is a SingleEntity, which makes a difference only inside enumerated instances.
    """

    data_type: DataType
    single_entity: bool = False


@dataclass(frozen=True, slots=True)
class Enumeration:
    """Enumeration, State: one of `values`."""

    data_type: DataType
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """Collection, List, and with `unique` Set, SortedSet, TimeSeries. Entries have a Characteristic or only a type."""

    element: "Characteristic"
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Either:
    """An object with exactly one of the members `left` and `right`."""

    left: "Characteristic"
    right: "Characteristic"


@dataclass(frozen=True, slots=True)
class Trait:
    """A Characteristic narrowed by Constraints; of two of one kind the later counts."""

    base: "Characteristic"
    constraints: tuple["Constraint", ...]


Characteristic = Plain | Enumeration | Collection | Either | Trait


class Bound(Enum):
    """samm-c:BoundDefinition."""

    OPEN = "OPEN"
    AT_LEAST = "AT_LEAST"
    GREATER_THAN = "GREATER_THAN"
    AT_MOST = "AT_MOST"
    LESS_THAN = "LESS_THAN"


@dataclass(frozen=True, slots=True)
class Length:
    """LengthConstraint: characters of a text, entries of a collection."""

    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """RangeConstraint. A bound without a value bounds nothing, whatever its definition says."""

    least: Literal | None = None
    most: Literal | None = None
    lower: Bound = Bound.AT_LEAST
    upper: Bound = Bound.AT_MOST


@dataclass(frozen=True, slots=True)
class Pattern:
    """RegularExpressionConstraint."""

    text: str


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """FixedPointConstraint: digits after the point (`scale`) and before it (`integer`)."""

    scale: int
    integer: int


@dataclass(frozen=True, slots=True)
class Encoding:
    """EncodingConstraint: "US-ASCII" and the like."""

    name: str


Constraint = Length | Range | Pattern | FixedPoint | Encoding
"""LanguageConstraint and LocaleConstraint speak of how a text is meant; no payload can break them."""


@dataclass(frozen=True, slots=True)
class Property:
    """A member of an object: `name` is what stands in the payload."""

    name: str
    urn: str
    characteristic: Characteristic
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Entity:
    """Entity or AbstractEntity: own Properties (those in payloads) and the URN of the Entity it extends, or ""."""

    urn: str
    properties: tuple[Property, ...]
    extends: str = ""
    abstract: bool = False

    def __post_init__(self) -> None:
        _distinct(self.urn, self.properties)


@dataclass(frozen=True, slots=True)
class Aspect:
    """The root of a payload, and every Entity that can be reached from it."""

    urn: str
    properties: tuple[Property, ...]
    entities: Mapping[str, Entity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _distinct(self.urn, self.properties)

    def all_properties(self, urn: str) -> tuple[Property, ...]:
        """The Properties of an Entity and of those it extends, the general ones first."""
        entity = self.entities[urn]
        return (*(self.all_properties(entity.extends) if entity.extends else ()), *entity.properties)


def _distinct(owner: str, properties: tuple[Property, ...]) -> None:
    for name, count in Counter(prop.name for prop in properties).items():
        if count > 1:
            raise Invalid(f"{owner} has two different properties that are called '{name}' in payloads")
