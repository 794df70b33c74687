"""An Aspect as JSON Schema, with the verdicts of the official generator's schemas unless rules ask for more.

Like the official ones the schemas are draft-04: whoever compares or replaces one by the other gets the same handling
of `format` and `$ref`. Descriptions and names of Characteristics are left out, and Entities are the only shared
definitions, so a schema is a third the size. The URNs of Aspect and Entities are kept: they lead back to the model.
"""

from typing import Final

from connector.protocol.errors import Invalid
from connector.semantics.samm import datatypes
from connector.semantics.samm.datatypes import Schema, entire, json_value, number
from connector.semantics.samm.model import (
    Aspect,
    Bound,
    Characteristic,
    Collection,
    Constraint,
    DataType,
    Either,
    Encoding,
    Entity,
    EntityType,
    Enumeration,
    FixedPoint,
    Instance,
    Length,
    Pattern,
    Plain,
    Property,
    Range,
    Scalar,
    Trait,
    Value,
)
from connector.semantics.samm.modes import OFFICIAL, Rules

DIALECT: Final = "http://json-schema.org/draft-04/schema"
URN: Final = "x-samm-aspect-model-urn"
MAX_PARTS: Final = 100_000
"""Characteristics and values written for one Aspect: what refers twice to what refers twice grows beyond all bounds."""

_CHARACTERS: Final = {"US-ASCII": r"^[\x00-\x7f]*$", "ISO-8859-1": r"^[\x00-\xff]*$"}
_DIGITS: Final = 15
"""Decimal digits that a double carries exactly: a finer FixedPointConstraint cannot be checked."""
_OR_NULL: Final = ".orNull"
"""Ends the name of the definition that also lets null pass; no Entity's name has a dot."""


def json_schema(aspect: Aspect, rules: Rules = OFFICIAL) -> Schema:
    """Write the schema of an Aspect's payloads.

    Raises Invalid if a bound or enumerated value is not of its type, or the schema has more than MAX_PARTS parts.
    """
    try:
        return _Writer(aspect, rules).document()
    except RecursionError:
        raise Invalid(f"{aspect.urn} has Characteristics that are nested too deeply") from None


class _Writer:
    def __init__(self, aspect: Aspect, rules: Rules) -> None:
        self._aspect = aspect
        self._rules = rules
        self._names = _definition_names(aspect)
        self._urns = {name: urn for urn, name in self._names.items()}
        self._nullable: list[str] = []
        self._parts = 0

    def document(self) -> Schema:
        root = self._object(self._aspect.urn, self._aspect.properties, closed=self._rules.closed)
        definitions = {self._names[urn]: self._entity(entity) for urn, entity in sorted(self._aspect.entities.items())}
        for urn in self._nullable:  # grows while it is read: an Entity extends another one
            name = self._names[urn] + _OR_NULL
            if name not in definitions:
                definitions[name] = self._or_null(self._entity(self._aspect.entities[urn]))
        shared = {"components": {"schemas": definitions}} if definitions else {}
        return {"$schema": DIALECT, **root, **shared}

    def _object(self, urn: str, properties: tuple[Property, ...], *, closed: bool) -> Schema:
        members = {prop.name: self._property(prop) for prop in properties}
        schema: Schema = {URN: urn, "type": "object", "properties": members}
        if required := [prop.name for prop in properties if not prop.optional]:
            schema["required"] = required
        if closed:
            schema["additionalProperties"] = False
        return schema

    def _property(self, prop: Property) -> Schema:
        try:
            schema = self._characteristic(prop.characteristic)
        except Invalid as fault:
            raise Invalid(f"{prop.urn}: {fault.reason}") from None
        return self._or_null(schema) if prop.optional and self._rules.null_optional else schema

    def _entity(self, entity: Entity) -> Schema:
        if self._rules.closed and not entity.abstract:  # a closed object must know all its members itself
            every = {prop.name: prop for prop in self._aspect.all_properties(entity.urn)}
            return self._object(entity.urn, tuple(every.values()), closed=True)
        schema = self._object(entity.urn, entity.properties, closed=False)
        if entity.extends:
            schema["allOf"] = [self._reference(entity.extends)]
        return schema

    def _reference(self, urn: str) -> Schema:
        return {"$ref": f"#/components/schemas/{self._names[urn]}"}

    def _or_null(self, schema: Schema) -> Schema:
        """Let null pass too, so that faults inside an optional object still have their own place and reason."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            self._nullable.append(self._urns[name])
            return {"$ref": schema["$ref"] + _OR_NULL}
        if "oneOf" in schema:
            return {"anyOf": [schema, {"type": "null"}]}
        wider = {**schema, "type": [schema["type"], "null"]} if "type" in schema else dict(schema)
        if "enum" in schema:
            wider["enum"] = [*schema["enum"], None]
        if "allOf" in schema:
            wider["allOf"] = [self._or_null(part) for part in schema["allOf"]]
        return wider

    def _count(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Invalid(f"the schema would have more than {MAX_PARTS} parts")

    def _characteristic(self, characteristic: Characteristic) -> Schema:
        self._count()
        match characteristic:
            case Plain(data_type):
                return self._type(data_type)
            case Enumeration(EntityType(), values):
                alternatives = [self._instance(value) for value in values if isinstance(value, Instance)]
                said = [schema for schema in alternatives if schema["properties"]]
                return {"type": "object", "oneOf": said} if said else {"type": "object"}
            case Enumeration(data_type, values):
                return {**self._type(data_type), "enum": _distinct([self._value(v, data_type) for v in values])}
            case Collection(element, unique):
                schema = {"type": "array", "items": self._characteristic(element)}
                return {**schema, "uniqueItems": True} if unique else schema
            case Either(left, right):
                return {
                    "type": "object",
                    "properties": {"left": self._characteristic(left), "right": self._characteristic(right)},
                    "additionalProperties": False,
                    "oneOf": [{"required": ["left"]}, {"required": ["right"]}],
                }
            case Trait(base, constraints):
                return self._narrowed(base, constraints)

    def _type(self, data_type: DataType) -> Schema:
        if isinstance(data_type, EntityType):
            return self._reference(data_type.urn)
        return datatypes.schema_of(data_type.name, self._rules)

    def _narrowed(self, base: Characteristic, constraints: tuple[Constraint, ...]) -> Schema:
        schema = self._characteristic(base)
        if "$ref" in schema:
            schema = {"type": "object", "allOf": [schema]}
        for constraint in constraints:
            match constraint:
                case Length(least, most):
                    what = {"array": "Items", "string": "Length"}.get(schema["type"])
                    if what:
                        schema |= {f"{w}{what}": n for w, n in (("min", least), ("max", most)) if n is not None}
                case Range():
                    schema |= self._bounds(constraint, schema, _scalar_name(base))
                case Pattern(text):
                    schema["pattern"] = entire(text) if self._rules.anchored else text
                case FixedPoint() | Encoding():
                    if self._rules.constraints and (more := _fine_print(constraint)):
                        schema["allOf"] = [*schema.get("allOf", []), more]
        return schema

    def _bounds(self, found: Range, schema: Schema, name: str) -> Schema:
        if schema["type"] != "number":
            return {}  # bounds of dates and times: JSON Schema has no words for them
        bounds: Schema = {}
        for word, literal, definition, exclusive in (
            ("minimum", found.least, found.lower, Bound.GREATER_THAN),
            ("maximum", found.most, found.upper, Bound.LESS_THAN),
        ):
            if literal is None:
                continue
            value = number(literal, name)
            if not self._rules.bounds:  # the official generator writes 0 for infinity
                value = 0 if value is None else datatypes.rounded(value) if name == "xsd:float" else value
            if value is not None:
                bounds[word] = value
                bounds[f"exclusive{word.capitalize()}"] = definition is exclusive
        return bounds

    def _instance(self, instance: Instance) -> Schema:
        """Write the object that an Entity instance stands for: each asserted member has its one value."""
        self._count()
        asserted = dict(instance.assertions)
        own = [prop for prop in self._aspect.entities[instance.entity].properties if prop.urn in asserted]
        schema: Schema = {"type": "object", "properties": {p.name: self._only(p, asserted[p.urn]) for p in own}}
        return {**schema, "required": [prop.name for prop in own]} if own else schema

    def _only(self, prop: Property, value: Value) -> Schema:
        characteristic = prop.characteristic
        if isinstance(characteristic, Plain) and characteristic.single_entity and isinstance(value, Instance):
            return self._instance(value)
        data_type = _data_type(characteristic)
        kind = datatypes.json_type(data_type.name) if isinstance(data_type, Scalar) else "object"
        if isinstance(characteristic, Collection):
            entries = value if isinstance(value, tuple) else (value,)
            allowed = _distinct([self._value(entry, data_type) for entry in entries])
            items: Schema = {"type": kind, "enum": allowed} if allowed else {"type": kind}
            return {"type": "array", "minItems": len(entries), "maxItems": len(entries), "items": items}
        return {"type": kind, "enum": [self._value(value, data_type)]}

    def _value(self, value: Value, data_type: DataType) -> object:
        self._count()
        if isinstance(value, tuple):
            return [self._value(entry, data_type) for entry in value]
        if isinstance(value, Instance):
            known = {prop.urn: prop for prop in self._aspect.entities[value.entity].properties}
            return {
                known[urn].name: self._value(said, _data_type(known[urn].characteristic))
                for urn, said in value.assertions
                if urn in known
            }
        return json_value(value, data_type.name if isinstance(data_type, Scalar) else "xsd:string")


def _definition_names(aspect: Aspect) -> dict[str, str]:
    """Give each Entity its local name, with a number where two namespaces have the same one."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for urn in sorted(aspect.entities):
        local = urn.rpartition("#")[2].rpartition(":")[2]
        name, count = local, 0
        while name in taken:
            name, count = f"{local}{count}", count + 1
        taken.add(name)
        names[urn] = name
    return names


def _data_type(characteristic: Characteristic) -> DataType:
    match characteristic:
        case Plain(data_type) | Enumeration(data_type, _):
            return data_type
        case Collection(element) | Trait(element):
            return _data_type(element)
        case Either(left, _):
            return _data_type(left)


def _scalar_name(characteristic: Characteristic) -> str:
    data_type = _data_type(characteristic)
    return data_type.name if isinstance(data_type, Scalar) else ""


def _fine_print(constraint: FixedPoint | Encoding) -> Schema:
    """Write what the official generator leaves out."""
    if isinstance(constraint, Encoding):
        pattern = _CHARACTERS.get(constraint.name)
        return {"pattern": pattern} if pattern else {}
    schema: Schema = {}
    if constraint.scale <= _DIGITS:
        schema["multipleOf"] = 1 if constraint.scale == 0 else float(f"1e-{constraint.scale}")
    if constraint.integer <= _DIGITS:
        limit = 10**constraint.integer
        schema |= {"minimum": -limit, "exclusiveMinimum": True, "maximum": limit, "exclusiveMaximum": True}
    return schema


def _distinct(values: list[object]) -> list[object]:
    """Leave out repetitions, which `enum` must not have. 1 and true are different values in JSON."""
    return list({repr(value): value for value in values}.values())
