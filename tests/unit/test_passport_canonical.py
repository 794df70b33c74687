"""RFC 8785 against the numbers, order and examples that the RFC itself publishes."""

import struct

import pytest

from connector.passport.canonical import canonical, parse
from connector.protocol.errors import Invalid

# RFC 8785, appendix B: the bits of a double, and how it is written
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "written"), NUMBERS.items())
def test_doubles_are_written_as_in_appendix_b(bits: str, written: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number) == written.encode()
    assert canonical(parse(written.encode())) == written.encode()


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_nan_and_infinity_have_no_canonical_form(bits: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    with pytest.raises(Invalid) as refusal:
        canonical({"pcf": [1, number]})
    assert refusal.value.pointer == "/pcf/1"


def test_members_are_sorted_by_utf16_code_units_as_in_section_3_2_3() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    in_order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(parse(canonical(dict.fromkeys(names, 0)))) == in_order  # type: ignore[call-overload]


def test_the_example_of_section_3_2_2_gives_the_bytes_of_section_3_2_4() -> None:
    example = rb"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(parse(example)) == expected.encode()


def test_control_characters_have_one_spelling() -> None:
    assert (
        canonical("\x00\x08\t\n\x0b\x0c\r\x1f\x7f\u2028") == b'"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\x7f\xe2\x80\xa8"'
    )


def test_empty_values_are_written() -> None:
    assert canonical({"a": [], "b": {}, "": ""}) == b'{"":"","a":[],"b":{}}'


def test_true_is_not_one() -> None:
    assert canonical([True, 1, 1.0, False, 0, -0.0]) == b"[true,1,1,false,0,0]"


@pytest.mark.parametrize("number", [2**53, -(2**53), 10**400])
def test_an_integer_beyond_i_json_is_refused(number: int) -> None:
    with pytest.raises(Invalid, match="2\\^53") as refusal:
        canonical({"a/b": {"~": number}})
    assert refusal.value.pointer == "/a~1b/~0"


@pytest.mark.parametrize("value", ["\ud800", "ok\udc00"])
def test_a_lone_surrogate_is_refused_in_text_and_in_names(value: str) -> None:
    with pytest.raises(Invalid, match="surrogate") as refusal:
        canonical(["", value])
    assert refusal.value.pointer == "/1"
    with pytest.raises(Invalid, match="surrogate"):
        canonical({value: 1})


@pytest.mark.parametrize("value", [{1: 2}, b"bytes", {"a": (1,)}, {"a": {1}}])
def test_what_is_no_json_value_is_refused(value: object) -> None:
    with pytest.raises(Invalid):
        canonical(value)


def test_nesting_is_limited() -> None:
    deep: object = 0
    for _ in range(100):
        deep = [deep]
    assert canonical(deep) == b"[" * 100 + b"0" + b"]" * 100
    with pytest.raises(Invalid, match="nested deeper"):
        canonical([deep])
    with pytest.raises(Invalid, match="nested deeper"):
        parse(b"[" * 1_000_000)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"pcf": 1, "pcf": 2}', "stands twice"),
        (b'{"a": [{"b": 1, "b": 1}]}', "'b' stands twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b"9007199254740993", "cannot be held exactly"),
        (b"-" + b"9" * 5000, "cannot be held exactly"),
        (b"\xff{}", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": 1', "line 1, column"),
        (b"", "not JSON"),
    ],
)
def test_a_body_without_one_meaning_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        parse(body)


def test_a_number_beyond_every_double_is_refused() -> None:
    with pytest.raises(Invalid, match="Infinity"):
        canonical(parse(b"1e400"))
