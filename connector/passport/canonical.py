"""One sequence of bytes for one JSON value: the JSON Canonicalization Scheme (RFC 8785).

A signature must survive every proxy, language and database that reads a passport and writes it again. Member order,
white space and number spelling are not part of the value, so the signature covers the canonical form instead of the
bytes that happened to travel. What has no single canonical form is refused, never repaired: I-JSON (RFC 7493) allows
no duplicate member names, no lone surrogates, and no numbers that an IEEE 754 double cannot hold.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Final, Never

from connector.protocol.errors import Invalid
from connector.semantics.validation import pointer

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""RFC 7493, section 2.2: beyond this two integers can become the same double."""

MAX_DEPTH: Final = 100
"""Deepest nesting accepted. The deepest aspect model we know has 12 levels; a stranger may send a million."""

_LONGEST_PLAIN: Final = 21
"""ECMA-262, Number::toString: up to 21 digits before the decimal point are written without an exponent."""

_MOST_ZEROS: Final = 6
"""ECMA-262, Number::toString: 0.000001 is written plainly, the next smaller power of ten is 1e-7."""

_Path = tuple[str | int, ...]
_quote: Final[Callable[[str], str]] = json.encoder.encode_basestring  # escapes what RFC 8785, section 3.2.2.2, escapes
_LITERALS: Final = {True: "true", False: "false", None: "null"}


def canonical(value: object) -> bytes:
    """Return the RFC 8785 form of a JSON value in UTF-8.

    value: dict with str keys, list, str, int, float, bool or None, nested.
    Raises Invalid with the JSON pointer of the first part that has no canonical form.
    """
    written: list[str] = []
    _write(value, (), written.append)
    return "".join(written).encode()


def parse(body: bytes) -> object:
    """Read JSON so that nothing is lost: the result of `canonical` is the same for sender and receiver.

    Stricter than the usual readers: duplicate member names and integers that a double cannot hold are refused.
    An integer longer than 2^53 passes as a float if it is exactly how RFC 8785 writes that float.
    Raises Invalid; the reason tells the place as far as it is known, never the content around it.
    """
    try:
        return json.loads(
            body.decode(), object_pairs_hook=_members, parse_int=_integer, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as fault:
        raise Invalid(f"the body is not UTF-8: byte {fault.start} cannot be read") from None
    except json.JSONDecodeError as fault:
        raise Invalid(f"the body is not JSON: {fault.msg} in line {fault.lineno}, column {fault.colno}") from None
    except RecursionError:
        raise Invalid(f"the body is nested deeper than {MAX_DEPTH} levels") from None


def _write(value: object, path: _Path, put: Callable[[str], None]) -> None:
    if len(path) > MAX_DEPTH:
        raise Invalid(f"the value is nested deeper than {MAX_DEPTH} levels", pointer(path[:8]))
    match value:
        case str():
            if not value.isascii():
                _utf16(value, path)
            put(_quote(value))
        case dict():
            _write_members(value, path, put)
        case list():
            put("[")
            for index, item in enumerate(value):
                if index:
                    put(",")
                _write(item, (*path, index), put)
            put("]")
        case bool() | None:
            put(_LITERALS[value])
        case int() | float():
            put(_write_number(value, path))
        case _:
            raise Invalid(f"a {type(value).__name__} is not a JSON value", pointer(path))


def _write_members(value: dict[object, object], path: _Path, put: Callable[[str], None]) -> None:
    names: list[str] = []
    plain = True
    for name in value:
        if not isinstance(name, str):
            raise Invalid(f"a member name is a {type(name).__name__}, not a string", pointer(path))
        plain = plain and name.isascii()
        names.append(name)
    names.sort(key=None if plain else lambda name: _utf16(name, path))  # ASCII has one order in every encoding
    put("{")
    for position, name in enumerate(names):
        put(f",{_quote(name)}:" if position else f"{_quote(name)}:")
        _write(value[name], (*path, name), put)
    put("}")


def _utf16(text: str, path: _Path) -> bytes:
    """Return the UTF-16 code units, whose order RFC 8785 (section 3.2.3) sorts by; a lone surrogate has none."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError as fault:
        raise Invalid(f"the text has a lone surrogate at character {fault.start}", pointer(path)) from None


def _write_number(value: float, path: _Path) -> str:
    if isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise Invalid("the integer is beyond 2^53 - 1; send it as a string", pointer(path))
        return str(value)
    if not isfinite(value):
        raise Invalid("NaN and Infinity are not JSON numbers; leave the member out", pointer(path))
    return _number(value)


def _number(value: float) -> str:
    """Write a finite double as ECMA-262 does (Number::toString): the shortest digits that read back the same."""
    if value == 0:
        return "0"  # minus zero too
    text = repr(value)  # Python finds the same shortest digits; only the layout differs at the ends of the range
    if "e" not in text:
        return text.removesuffix(".0")
    sign, digits, exponent = Decimal(text).normalize().as_tuple()
    figures = "".join(map(str, digits))
    point = len(figures) + int(exponent)  # the position of the decimal point, counted from the first digit
    minus = "-" * sign
    if len(figures) <= point <= _LONGEST_PLAIN:
        return f"{minus}{figures}{'0' * (point - len(figures))}"
    if -_MOST_ZEROS < point <= 0:
        return f"{minus}0.{'0' * -point}{figures}"
    fraction = f".{figures[1:]}" if len(figures) > 1 else ""
    return f"{minus}{figures[0]}{fraction}e{point - 1:+d}"


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid(f"the member {twice[:80]!r} stands twice in one object")
    return members


def _integer(text: str) -> int | float:
    if len(text) < len(str(MAX_SAFE_INTEGER)):
        return int(text)
    if len(text) <= _LONGEST_PLAIN + 1:
        value = int(text)
        if abs(value) <= MAX_SAFE_INTEGER:
            return value
        if _number(float(value)) == text:
            return float(value)
    raise Invalid(f"the integer {text[:24]} cannot be held exactly by a double; send it as a string")


def _refuse_constant(text: str) -> Never:
    raise Invalid(f"{text} is not a JSON number; leave the member out")
