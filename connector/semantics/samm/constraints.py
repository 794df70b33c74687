"""Constraints of a Trait, read from statements (SAMM 2.3.0, Constraints)."""

from typing import Final

from connector.protocol.errors import Invalid
from connector.semantics.samm import turtle
from connector.semantics.samm.library import Library
from connector.semantics.samm.model import Bound, Constraint, Encoding, FixedPoint, Length, Pattern, Range
from connector.semantics.samm.turtle import Literal, Node

_NO_EFFECT: Final = frozenset(("samm:Constraint", "samm-c:LanguageConstraint", "samm-c:LocaleConstraint"))


def read_constraint(library: Library, owner: str, node: Node) -> Constraint | None:
    """Read a constraint of a Trait (`owner`); None if no payload can break it. Raises Invalid if it is unknown."""
    if isinstance(node, Literal):
        raise _fault(library, owner, "has a text as constraint")
    kinds = {kind for kind in library.about(node).get(turtle.TYPE, ()) if isinstance(kind, str)}
    name = owner if node.startswith(turtle.BLANK) else node
    if "samm-c:LengthConstraint" in kinds:
        return Length(_whole(library, name, node, "minValue"), _whole(library, name, node, "maxValue"))
    if "samm-c:RangeConstraint" in kinds:
        return _range(library, name, node)
    if "samm-c:RegularExpressionConstraint" in kinds:
        return Pattern(_text(library, name, node).text)
    if "samm-c:FixedPointConstraint" in kinds:
        scale, integer = (_whole(library, name, node, word) for word in ("scale", "integer"))
        if scale is None or integer is None:
            raise _fault(library, name, "is a FixedPointConstraint without samm-c:scale or samm-c:integer")
        return FixedPoint(scale, integer)
    if "samm-c:EncodingConstraint" in kinds:
        return Encoding(_text(library, name, node).text)
    if kinds & _NO_EFFECT:
        return None
    raise _fault(library, name, "is of no known kind of Constraint")


def _range(library: Library, name: str, node: str) -> Range:
    least, most = (library.one(node, f"samm-c:{word}") for word in ("minValue", "maxValue"))
    if isinstance(least, str) or isinstance(most, str):
        raise _fault(library, name, "has a bound that is not a value")
    lower, upper = (library.one(node, f"samm-c:{word}BoundDefinition") for word in ("lower", "upper"))
    try:
        return Range(
            least,
            most,
            Bound(_local(lower)) if lower is not None else Bound.AT_LEAST,
            Bound(_local(upper)) if upper is not None else Bound.AT_MOST,
        )
    except ValueError:
        raise _fault(library, name, "has a bound definition that nobody knows") from None


def _local(node: Node) -> str:
    return node.text if isinstance(node, Literal) else node.removeprefix("samm-c:")


def _whole(library: Library, name: str, node: str, word: str) -> int | None:
    value = library.one(node, f"samm-c:{word}")
    if value is None:
        return None
    if not isinstance(value, Literal) or not value.text.isascii() or not value.text.isdigit() or len(value.text) > 18:  # noqa: PLR2004 - 64 bits
        raise _fault(library, name, f"has a samm-c:{word} that is not a whole number from 0")
    return int(value.text)


def _text(library: Library, name: str, node: str) -> Literal:
    value = library.one(node, "samm:value")
    if isinstance(value, str):  # samm:US-ASCII and its kin are names
        return Literal(value.removeprefix("samm:"))
    if value is None:
        raise _fault(library, name, "has no samm:value")
    return value


def _fault(library: Library, name: str, reason: str) -> Invalid:
    return Invalid(f"{library.place(name)} {reason}")
