"""What data types mean in JSON: as the official schemas have it, and as XML Schema 1.1 part 2 defines them.

The official table treats whole numbers as numbers, searches its patterns anywhere in the text, and knows nothing of
base64Binary and gMonthDay. Under the rules of `modes` the definitions of XML Schema take their place. Of anyURI XML
Schema says that IRIs and relative references are good, which the official `uri` denies.
"""

import struct
import sys
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from connector.protocol.errors import Invalid
from connector.semantics.samm.modes import Rules
from connector.semantics.samm.turtle import Literal

Schema = dict[str, Any]

_ZONE: Final = r"(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_YEAR: Final = r"-?([1-9][0-9]{3,}|0[0-9]{3})"
_MONTH: Final = r"(0[1-9]|1[0-2])"
_DAY: Final = r"(0[1-9]|[12][0-9]|3[01])"
_TIME: Final = r"(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?|(24:00:00(\.0+)?))"
_CURIE: Final = "[a-zA-Z]*:[a-zA-Z]+"
_SECONDS: Final = r"[0-9]+(\.[0-9]+)?S"
_CLOCK: Final = rf"T([0-9]+H([0-9]+M)?({_SECONDS})?|[0-9]+M({_SECONDS})?|{_SECONDS})"

_WHOLE: Final[Mapping[str, tuple[int | None, int | None]]] = {
    "integer": (None, None),
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "unsignedByte": (0, 2**8 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedLong": (0, 2**64 - 1),
    "positiveInteger": (1, None),
    "nonNegativeInteger": (0, None),
    "negativeInteger": (None, -1),
    "nonPositiveInteger": (None, 0),
}
_PATTERNS: Final[Mapping[str, str]] = {
    "xsd:dateTime": f"{_YEAR}-{_MONTH}-{_DAY}T{_TIME}{_ZONE}?",
    "xsd:gYear": f"{_YEAR}{_ZONE}?",
    "xsd:gMonth": f"--{_MONTH}{_ZONE}?",
    "xsd:gDay": f"---{_DAY}{_ZONE}?",
    "xsd:gYearMonth": f"{_YEAR}-{_MONTH}{_ZONE}?",
    "xsd:yearMonthDuration": "-?P[0-9]+(Y([0-9]+M)?|M)",
    "xsd:dayTimeDuration": "[^YM]*[DT].*",
    "xsd:hexBinary": "([0-9a-fA-F])([0-9a-fA-F])*",
    "samm:curie": _CURIE,
}
_FORMATS: Final[Mapping[str, str]] = {
    "xsd:date": "date",
    "xsd:time": "time",
    "xsd:dateTimeStamp": "date-time",
    "xsd:duration": "duration",
    "xsd:anyURI": "uri",
}
_LEXICAL: Final[Mapping[str, str]] = {
    **{name: pattern for name, pattern in _PATTERNS.items() if name.startswith(("xsd:dateTime", "xsd:g", "samm:"))},
    "xsd:date": f"{_YEAR}-{_MONTH}-{_DAY}{_ZONE}?",
    "xsd:time": f"{_TIME}{_ZONE}?",
    "xsd:dateTimeStamp": f"{_YEAR}-{_MONTH}-{_DAY}T{_TIME}{_ZONE}",
    "xsd:gMonthDay": f"--{_MONTH}-{_DAY}{_ZONE}?",
    "xsd:duration": f"-?P([0-9]+Y([0-9]+M)?([0-9]+D)?|[0-9]+M([0-9]+D)?|[0-9]+D|(?=T))({_CLOCK})?",
    "xsd:yearMonthDuration": "-?P([0-9]+Y([0-9]+M)?|[0-9]+M)",
    "xsd:dayTimeDuration": f"-?P([0-9]+D|(?=T))({_CLOCK})?",
    "xsd:hexBinary": "([0-9a-fA-F]{2})*",
    "xsd:anyURI": r'[^\s<>"{}|\\^`]*',
    "xsd:base64Binary": "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
}
_MANY_LANGUAGES: Final[Schema] = {
    "type": "object",
    "patternProperties": {"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$": {"type": "string"}},
    "additionalProperties": False,
}
_LARGEST: Final = Decimal(sys.float_info.max)
"""What is larger is no JSON number that others can read."""
_FLOAT_DIGITS: Final = 9
"""Decimal digits that tell every 32-bit float from its neighbours."""


def schema_of(name: str, rules: Rules) -> Schema:
    """Give the schema of a scalar type; of a type that nobody knows: any text, as the official generator has it."""
    kind = json_type(name)
    if name == "rdf:langString":
        return dict(_MANY_LANGUAGES) if rules.languages else {"type": kind}
    schema: Schema = {"type": kind}
    if (limits := _WHOLE.get(name.removeprefix("xsd:"))) is not None:
        if rules.integers:
            schema["multipleOf"] = 1
        schema |= {word: limit for word, limit in zip(("minimum", "maximum"), limits, strict=True) if limit is not None}
    elif rules.lexical and name in _LEXICAL:
        schema["pattern"] = entire(_LEXICAL[name])
    elif name in _PATTERNS:
        schema["pattern"] = _PATTERNS[name]
    elif name in _FORMATS:
        schema["format"] = _FORMATS[name]
    return schema


def json_type(name: str) -> str:
    """Give the JSON Schema type of a scalar type."""
    if name == "rdf:langString":
        return "object"
    if name == "xsd:boolean":
        return "boolean"
    local = name.removeprefix("xsd:")
    return "number" if name.startswith("xsd:") and (local in _WHOLE or local in _NUMBERS) else "string"


_NUMBERS: Final = frozenset(("decimal", "float", "double"))


def json_value(literal: Literal, name: str) -> object:
    """Give a literal as the JSON value it has in payloads of a type. Raises Invalid if it is no value of that type."""
    match json_type(name):
        case "object":
            return {literal.language or "und": literal.text}
        case "boolean":
            if literal.text not in ("true", "false", "1", "0"):
                raise Invalid(f"'{literal.text[:40]}' in the model is no value of {name}")
            return literal.text in ("true", "1")
        case "number":
            return 0 if (value := number(literal, name)) is None else value
        case _:
            return literal.text


def number(literal: Literal, name: str) -> int | float | None:
    """Give a literal as a number; None if it is infinite or not a number in the sense of IEEE 754.

    Raises Invalid if it is none, or larger than any double.
    """
    try:
        value = Decimal(literal.text)
    except InvalidOperation:
        raise Invalid(f"'{literal.text[:40]}' in the model is no value of {name}") from None
    if not value.is_finite():
        return None
    if value.copy_abs() > _LARGEST:
        raise Invalid(f"{literal.text[:40]} in the model is larger than any number in JSON")
    return int(value) if value == value.to_integral_value() else float(value)


def rounded(value: float) -> int | float:
    """Give a bound of xsd:float as the official generator has it: the shortest decimal of the nearest 32-bit float."""
    if (packed := _packed(value)) is None:
        return 0  # as for infinity
    (exact,) = struct.unpack("<f", packed)
    texts = (f"{exact:.{digits}g}" for digits in range(1, _FLOAT_DIGITS + 1))
    short = next(float(text) for text in texts if _packed(float(text)) == packed)
    return int(short) if short.is_integer() else short


def _packed(value: float) -> bytes | None:
    """The nearest 32-bit float; None if it is infinite."""
    try:
        return struct.pack("<f", float(value))
    except OverflowError:
        return None


def entire(pattern: str) -> str:
    """Let a regular expression cover the entire text."""
    return f"^(?:{pattern})$"
