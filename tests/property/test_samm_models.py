"""Generated models: what is written as Turtle is read back, and three judges agree about payloads.

The third judge is written here, directly over the model and without JSON Schema: it knows what SAMM means in the
official mode and shares no code with what it judges.
"""

import re
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from connector.semantics.registry import compiled
from connector.semantics.samm.json_schema import json_schema
from connector.semantics.samm.library import Library
from connector.semantics.samm.model import (
    Aspect,
    Bound,
    Characteristic,
    Collection,
    Constraint,
    Either,
    Entity,
    EntityType,
    Enumeration,
    Length,
    Pattern,
    Plain,
    Property,
    Range,
    Scalar,
    Trait,
)
from connector.semantics.samm.modes import STRICT, Rules
from connector.semantics.samm.reading import read_aspect
from connector.semantics.samm.turtle import Literal
from connector.semantics.validation import faults_by, valid_by
from tests.unit.samm_world import SAMM, A

NS = A.removesuffix("A")
NAMES = ("a", "b", "c", "d")
PATTERNS = ("^a+$", "b", r"^\d{2}$", "(x|y)z?")
INTS = {"xsd:integer": (None, None), "xsd:byte": (-128, 127), "xsd:positiveInteger": (1, None)}
Node = Any

scalars = st.sampled_from(
    ["xsd:string", "xsd:boolean", "xsd:decimal", "xsd:integer", "xsd:byte", "xsd:positiveInteger"]
)
whole = st.integers(0, 4)


@st.composite
def characteristics(draw: st.DrawFn, entities: int, depth: int = 0) -> Characteristic:  # noqa: PLR0911 - each kind
    kinds = ["plain", "enumeration", "text", "number", "entity"]
    match draw(st.sampled_from(kinds + (["collection", "either"] if depth < 2 else []))):
        case "enumeration":
            texts = draw(st.lists(st.sampled_from(("one", "two", "Drei", "4")), min_size=1, unique=True))
            return Enumeration(Scalar("xsd:string"), tuple(map(Literal, texts)))
        case "text":
            constraints = draw(
                st.lists(st.builds(Pattern, st.sampled_from(PATTERNS)) | lengths(), min_size=1, max_size=3)
            )
            return Trait(Plain(Scalar("xsd:string")), tuple(constraints))
        case "number":
            name = draw(st.sampled_from(["xsd:decimal", *INTS]))
            return Trait(Plain(Scalar(name)), (draw(ranges()),))
        case "entity" if entities:
            return Plain(EntityType(f"{NS}E{draw(st.integers(0, entities - 1))}"))
        case "collection":
            of = Collection(draw(characteristics(entities, depth + 1)), draw(st.booleans()))
            return Trait(of, (draw(lengths()),)) if draw(st.booleans()) else of
        case "either":
            return Either(draw(characteristics(entities, depth + 1)), draw(characteristics(entities, depth + 1)))
        case _:
            return Plain(Scalar(draw(scalars)))


@st.composite
def lengths(draw: st.DrawFn) -> Length:
    least = draw(whole | st.none())
    return Length(least, None if least is None else draw(st.none() | st.integers(least, 6)))


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    least, most = (draw(st.none() | st.integers(-3, 5).map(lambda n: Literal(str(n), "xsd:integer"))) for _ in "ab")
    lower, upper = (Bound.AT_LEAST, Bound.GREATER_THAN), (Bound.AT_MOST, Bound.LESS_THAN)
    return Range(least, most, draw(st.sampled_from(lower)), draw(st.sampled_from(upper)))


@st.composite
def aspects(draw: st.DrawFn) -> Aspect:
    count = draw(st.integers(0, 3))

    def properties(owner: str) -> tuple[Property, ...]:
        names = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
        return tuple(
            Property(name, f"{NS}{owner}_{name}", draw(characteristics(count)), draw(st.booleans())) for name in names
        )

    entities = {}
    for number in range(count):
        parent = f"{NS}E{draw(st.integers(0, number - 1))}" if number and draw(st.booleans()) else ""
        entities[f"{NS}E{number}"] = Entity(f"{NS}E{number}", properties(f"e{number}"), parent)
    return Aspect(A, properties("a"), entities)


def turtle_of(aspect: Aspect) -> str:
    out = [SAMM, f":A a samm:Aspect ; samm:properties {_entries(aspect.properties)} ."]
    for entity in aspect.entities.values():
        parent = f"samm:extends :{entity.extends.removeprefix(NS)} ;" if entity.extends else ""
        out.append(
            f":{entity.urn.removeprefix(NS)} a samm:Entity ; {parent} samm:properties {_entries(entity.properties)} ."
        )
    owned = [aspect.properties, *(entity.properties for entity in aspect.entities.values())]
    said = ":{} a samm:Property ; samm:characteristic {} ."
    out += [said.format(p.urn.removeprefix(NS), _written(p.characteristic)) for props in owned for p in props]
    return "\n".join(out)


def _entries(properties: tuple[Property, ...]) -> str:
    entry = '[ samm:property :{} ; samm:payloadName "{}" ; samm:optional {} ]'
    return f"( {' '.join(entry.format(p.urn.removeprefix(NS), p.name, str(p.optional).lower()) for p in properties)} )"


def _type(data_type: Scalar | EntityType) -> str:
    return data_type.name if isinstance(data_type, Scalar) else f":{data_type.urn.removeprefix(NS)}"


def _written(characteristic: Characteristic) -> str:
    match characteristic:
        case Plain(data_type):
            return f"[ a samm:Characteristic ; samm:dataType {_type(data_type)} ]"
        case Enumeration(data_type, values):
            said = " ".join(f'"{value.text}"' for value in values if isinstance(value, Literal))
            return f"[ a samm-c:Enumeration ; samm:dataType {_type(data_type)} ; samm-c:values ( {said} ) ]"
        case Collection(element, unique):
            kind = "Set" if unique else "List"
            return f"[ a samm-c:{kind} ; samm-c:elementCharacteristic {_written(element)} ]"
        case Either(left, right):
            return f"[ a samm-c:Either ; samm-c:left {_written(left)} ; samm-c:right {_written(right)} ]"
        case Trait(base, constraints):
            said = " ".join(f"samm-c:constraint [ {_constraint(one)} ] ;" for one in constraints)
            return f"[ a samm-c:Trait ; {said} samm-c:baseCharacteristic {_written(base)} ]"


def _constraint(constraint: Constraint) -> str:
    match constraint:
        case Length(least, most):
            bounds = (("minValue", least), ("maxValue", most))
            return "a samm-c:LengthConstraint" + "".join(f" ; samm-c:{w} {n}" for w, n in bounds if n is not None)
        case Range(least, most, lower, upper):
            ends = (("minValue", least), ("maxValue", most))
            said = "".join(f" ; samm-c:{w} {end.text}" for w, end in ends if end is not None)
            definitions = (("lower", lower), ("upper", upper))
            said += "".join(f" ; samm-c:{w}BoundDefinition samm-c:{bound.value}" for w, bound in definitions)
            return f"a samm-c:RangeConstraint{said}"
        case Pattern(text):
            return 'a samm-c:RegularExpressionConstraint ; samm:value "{}"'.format(text.replace("\\", "\\\\"))
    raise AssertionError(constraint)


def fits(aspect: Aspect, owner: Aspect | Entity, value: Node) -> bool:
    """The third judge: an object and what its owner says of it."""
    if not isinstance(value, dict):
        return False
    if isinstance(owner, Entity) and owner.extends and not fits(aspect, aspect.entities[owner.extends], value):
        return False
    missing = any(not prop.optional and prop.name not in value for prop in owner.properties)
    return not missing and all(
        obeys(aspect, prop.characteristic, value[prop.name]) for prop in owner.properties if prop.name in value
    )


def obeys(aspect: Aspect, characteristic: Characteristic, value: Node) -> bool:  # noqa: C901, PLR0911 - each kind
    match characteristic:
        case Plain(EntityType(urn)):
            return fits(aspect, aspect.entities[urn], value)
        case Plain(Scalar(name)):
            return of_type(name, value)
        case Enumeration(_, values):
            return isinstance(value, str) and value in [one.text for one in values if isinstance(one, Literal)]
        case Collection(element, unique):
            if not isinstance(value, list) or not all(obeys(aspect, element, entry) for entry in value):
                return False
            return not unique or not any(same(one, other) for i, one in enumerate(value) for other in value[:i])
        case Either(left, right):
            if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= {"left", "right"}:
                return False
            return obeys(aspect, left if "left" in value else right, *value.values())
        case Trait(base, constraints):
            last: dict[str, Node] = {}  # a later constraint of the same kind wins, keyword by keyword
            for one in constraints:
                match one:
                    case Length(least, most):
                        last |= {word: end for word, end in (("least", least), ("most", most)) if end is not None}
                    case Pattern(text):
                        last["pattern"] = text
            bounds = [one for one in constraints if isinstance(one, Range)]
            return within(base, bounds, value) and narrow(last, value) and (bool(bounds) or obeys(aspect, base, value))
    raise AssertionError(characteristic)


def narrow(last: dict[str, Node], value: Node) -> bool:
    pattern = last.get("pattern", "").replace("$", r"\Z")  # what ECMA means by it
    if isinstance(value, str) and not re.search(pattern, value, re.ASCII):
        return False
    if not isinstance(value, str | list):
        return True
    return bool(last.get("least", 0) <= len(value) <= last.get("most", len(value)))


def within(base: Characteristic, bounds: list[Range], value: Node) -> bool:
    if not bounds:
        return True
    assert isinstance(base, Plain)
    assert isinstance(base.data_type, Scalar)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    least, most = INTS.get(base.data_type.name, (None, None))
    (found,) = bounds
    low = least if found.least is None else int(found.least.text)
    high = most if found.most is None else int(found.most.text)
    if low is not None and (
        value < low or (value == low and found.least is not None and found.lower is Bound.GREATER_THAN)
    ):
        return False
    return high is None or not (
        value > high or (value == high and found.most is not None and found.upper is Bound.LESS_THAN)
    )


def of_type(name: str, value: Node) -> bool:
    if name == "xsd:string":
        return isinstance(value, str)
    if name == "xsd:boolean":
        return isinstance(value, bool)
    least, most = INTS.get(name, (None, None))
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (least is None or value >= least) and (most is None or value <= most)


def same(one: Node, other: Node) -> bool:
    """Equality of JSON: 1 is 1.0, but is not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return (type(one) is type(other) and one == other) or (_number(one) and _number(other) and one == other)


def _number(value: Node) -> bool:
    return isinstance(value, int | float)


LEAVES = ["", "a", "aa", "b", "42", "xz", "one", "Drei", True, False, None, 0, 1, 1.0, 2.5, -3, 5, 127, 128, [], {}]
anything: st.SearchStrategy[Node] = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "left", "right"]), inner),
    max_leaves=8,
)


@st.composite
def payloads(draw: st.DrawFn, aspect: Aspect) -> Node:  # noqa: C901 - each kind
    """Mostly what the model asks for, sometimes anything, at every level."""

    def of(owner: Aspect | Entity, depth: int) -> Node:
        made = of(aspect.entities[owner.extends], depth) if isinstance(owner, Entity) and owner.extends else {}
        for prop in owner.properties:
            if not prop.optional or draw(st.booleans()):
                made[prop.name] = value(prop.characteristic, depth + 1)
        return made

    def value(characteristic: Characteristic, depth: int) -> Node:  # noqa: PLR0911 - each kind
        if depth > 4 or draw(st.integers(0, 11)) == 0:
            return draw(anything)
        match characteristic:
            case Plain(EntityType(urn)):
                return of(aspect.entities[urn], depth)
            case Plain(Scalar(name)):
                good = [leaf for leaf in LEAVES if of_type(name, leaf)]
                return draw(st.sampled_from(good))
            case Enumeration(_, values):
                return draw(st.sampled_from([one.text for one in values if isinstance(one, Literal)]))
            case Collection(element, _):
                return [value(element, depth + 1) for _ in range(draw(st.integers(0, 2)))]
            case Either(left, right):
                return {"left": value(left, depth + 1)} if draw(st.booleans()) else {"right": value(right, depth + 1)}
            case Trait(base, _):
                return value(base, depth + 1)

    return of(aspect, 0)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(aspects(), st.data())
def test_three_judges_agree_about_a_payload(aspect: Aspect, data: st.DataObject) -> None:
    schema = json_schema(aspect)
    Draft4Validator.check_schema(schema)
    validator, reference = compiled(schema, "generated"), Draft4Validator(schema)
    for _ in range(4):
        payload = data.draw(payloads(aspect))
        expected = fits(aspect, aspect, payload)
        assert reference.is_valid(payload) is expected
        assert valid_by(validator, payload) is expected
        assert bool(faults_by(validator, payload)) is not expected


@settings(max_examples=80, deadline=None)
@given(aspects())
def test_what_is_written_as_turtle_is_read_back(aspect: Aspect) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "org.example" / "1.0.0" / "A.ttl"
        file.parent.mkdir(parents=True)
        file.write_text(turtle_of(aspect), encoding="utf-8")
        found = read_aspect(Library(file.parent), A)
    assert found.properties == aspect.properties
    assert found.entities.items() <= aspect.entities.items()


@settings(max_examples=80, deadline=None)
@given(aspects(), st.data())
def test_strict_rules_only_narrow_but_for_null(aspect: Aspect, data: st.DataObject) -> None:
    narrower = Rules.mode("strict", ("no-null-optional",))
    official, strict = (compiled(json_schema(aspect, rules), "generated") for rules in (Rules(), narrower))
    wider = compiled(json_schema(aspect, STRICT), "generated")
    payload = data.draw(payloads(aspect))
    if valid_by(strict, payload):
        assert valid_by(official, payload)
        assert valid_by(wider, payload)
