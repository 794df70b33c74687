"""Tell a person what is wrong with a payload, and where: JSON Schema faults in plain words.

The peer who reads the answer wants the place (a JSON pointer, RFC 6901), what stood there and what was expected. It
must not read the payload back: a fault quotes at most one short scalar, never an object, so that an error text cannot
carry data past the policy that guards it. jsonschema-rs decides (its regular expressions are ECMA's, as the models
mean them); only `iter_errors` is asked, because two questions to one validator may have two answers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from connector.protocol.errors import Invalid
from connector.semantics.registry import SchemaRegistry, bundled

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

MAX_FAULTS: Final = 100
"""Faults collected per payload: a person corrects the first, a machine needs no more to refuse."""

_MAX_QUOTED: Final = 40
_MAX_OPTIONS: Final = 8
_ARTICLE: Final = {
    "number": "a number",
    "integer": "a whole number",
    "string": "a text",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: `pointer` is the RFC 6901 place in the payload ("" is its root), `message` is for people."""

    pointer: str
    message: str

    @property
    def text(self) -> str:
        """Place and message in one line."""
        return f"{self.pointer or 'the whole payload'}: {self.message}"


def faults(semantic_id: str, payload: object, registry: SchemaRegistry | None = None) -> tuple[Fault, ...]:
    """List what makes the payload break the schema of its semantic id, sorted by place; empty means valid.

    payload: parsed JSON. registry: the schemas to judge by, the ones delivered with the connector if left out.
    At most MAX_FAULTS are collected. Raises Invalid if no schema is known for the semantic id.
    """
    return faults_by((registry or bundled()).validator(semantic_id), payload)


def valid_by(validator: "Validator", payload: object) -> bool:
    """Tell whether a compiled schema accepts parsed JSON: the same verdict as faults_by, at the first fault."""
    try:
        return next(validator.iter_errors(payload), None) is None
    except ValueError:
        return False


def faults_by(validator: "Validator", payload: object) -> tuple[Fault, ...]:
    """List what makes parsed JSON break a compiled schema, as `faults` does."""
    try:
        errors = list(islice(validator.iter_errors(payload), MAX_FAULTS))
    except ValueError:  # a lone surrogate, an object that is no JSON value, or nesting beyond any reader
        return (Fault("", "the payload holds something that is not JSON"),)
    found = {Fault(pointer(error.instance_path), _message(error)) for error in errors}
    return tuple(sorted(found, key=lambda fault: (fault.pointer, fault.message)))


def validate(semantic_id: str, payload: object, registry: SchemaRegistry | None = None) -> None:
    """Raise Invalid with the first fault, its pointer and the number of all faults; return if there is none."""
    found = faults(semantic_id, payload, registry)
    if not found:
        return
    first = found[0]
    more = (
        "" if len(found) == 1 else f"; {len(found)} faults in all" if len(found) < MAX_FAULTS else "; many more faults"
    )
    raise Invalid(f"the payload does not fit {semantic_id}: {first.message}{more}", first.pointer)


def pointer(path: Iterable[str | int]) -> str:
    """Write a path of member names and list positions as a JSON pointer (RFC 6901); the empty path is ""."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def quoted(value: object) -> str:
    """Show a scalar the way it stood in the JSON, cut short; of a list or object only the kind is told."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{value}'" if len(value) <= _MAX_QUOTED else f"'{value[:_MAX_QUOTED]}...'"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return str(value)[:_MAX_QUOTED]


def _message(error: "ValidationError") -> str:
    keyword = error.kind.name
    say = _SAY.get(keyword)
    if say is None:  # a keyword our own schemas do not use: the library's words may hold the instance, so only name it
        return f"{quoted(error.instance)} does not satisfy the schema keyword '{keyword}'"
    return say(quoted(error.instance), error.kind.as_dict())


def _type(shown: str, kind: Mapping[str, Any]) -> str:
    return f"{shown} is not {' or '.join(_ARTICLE[name] for name in kind['types'])}"


def _multiple(step: float) -> str:
    return "a whole number" if step == 1 else f"a multiple of {step}"


def _choice(shown: str, kind: Mapping[str, Any]) -> str:
    options = [quoted(option) for option in kind["options"]]
    more = f" and {len(options) - _MAX_OPTIONS} more" if len(options) > _MAX_OPTIONS else ""
    return f"{shown} is not one of {', '.join(options[:_MAX_OPTIONS])}{more}"


def _count(least_or_most: str, one: str, many: str) -> Callable[[str, Mapping[str, Any]], str]:
    def say(shown: str, kind: Mapping[str, Any]) -> str:
        limit = kind["limit"]
        return f"{shown} must have at {least_or_most} {limit} {one if limit == 1 else many}"

    return say


_SAY: Final[Mapping[str, Callable[[str, Mapping[str, Any]], str]]] = {
    "type": _type,
    "enum": _choice,
    "required": lambda _, kind: f"the member '{kind['property']}' is missing",
    "pattern": lambda shown, kind: f"{shown} does not match the pattern {kind['pattern']}",
    "const": lambda shown, kind: f"{shown} is not {quoted(kind['expected_value'])}",
    "format": lambda shown, kind: f"{shown} is not a valid {kind['format']}",
    "minimum": lambda shown, kind: f"{shown} is less than {kind['limit']}",
    "maximum": lambda shown, kind: f"{shown} is more than {kind['limit']}",
    "exclusiveMinimum": lambda shown, kind: f"{shown} is not more than {kind['limit']}",
    "exclusiveMaximum": lambda shown, kind: f"{shown} is not less than {kind['limit']}",
    "multipleOf": lambda shown, kind: f"{shown} is not {_multiple(kind['multiple_of'])}",
    "minLength": _count("least", "character", "characters"),
    "maxLength": _count("most", "character", "characters"),
    "minItems": _count("least", "entry", "entries"),
    "maxItems": _count("most", "entry", "entries"),
    "uniqueItems": lambda *_: "the list holds the same entry twice",
    "oneOf": lambda shown, _: f"{shown} does not fit exactly one of the alternatives",
    "falseSchema": lambda shown, _: f"{shown} is not allowed here",
    "additionalProperties": lambda _, kind: f"unknown member {', '.join(map(quoted, kind['unexpected'][:5]))}",
}
