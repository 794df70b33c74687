"""Hypothesis strategies that spoil valid JSON documents, first as trees, then as text, then as bytes."""

import json
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import strategies as st

_RAW: Final = "\x00raw:"
"""Marks a text that stands for JSON which no Python value can say."""
_LITERALS: Final = (
    *("1e999", "-1e999", "1E+400", "9" * 5000, "-0", "-0.0", "1e-999", "0.1e1", str(2**63), str(2**64), str(-(2**63))),
    *("1.7976931348623157e308", "NaN", "Infinity", "-Infinity", "tru", "nul", "'x'", "01", "+1", ".5", "1.", "0x10"),
    *('"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\u2028"', '"\x01"', '"\\x41"', '"\t"', '"\\u00"', '"', "", "//"),
    *('{"a":1,"a":2}', '{"@id":"a","@id":"b"}', "[" * 70 + "]" * 70, '{"a":' * 70 + "1" + "}" * 70, "[" * 5000),
    *(
        "[1,]",
        '{"a":1,}',
        "{,}",
        "[[[[[[[[[[[[]]]]]]]]]]]]",
        f'"{"x" * 3000}"',
        f'"{"x" * 200_000}"',
        "[" + "1," * 20_000 + "1]",
    ),
)
_WORDS: Final = (
    *(
        "",
        " ",
        "\x7f",
        "@id",
        "@type",
        "@vocab",
        "@none",
        "@json",
        "_:b0",
        ":",
        "a:",
        ":a",
        "//x",
        "http://",
        "urn:",
        "#",
    ),
    *(
        "dspace:REQUESTED",
        "odrl:use",
        "edc:operator",
        "https://w3id.org/edc/v0.0.1/ns/",
        "https://w3id.org/edc/v0.0.1/ns/id",
    ),
    *(
        "https://w3id.org/dspace/2025/1/context.jsonld",
        "https://evil.example/context.jsonld",
        "http://www.w3.org/ns/odrl.jsonld",
    ),
    *(
        "%2e%2e%2f",
        "../..",
        "'; DROP TABLE asset; --",
        "%",
        "_",
        "\\",
        "'a'.'b'",
        "'",
        "'a'.'",
        "\U0010ffff",
        "e\u0301",
        "\u202e",
    ),
    *(
        "P1D",
        "contractAgreement+0s",
        "contractAgreement+99999999999999999999d",
        "9999-12-31T23:59:59Z",
        "0000-00-00T00:00:00Z",
    ),
    *(
        "2026-11-22T00:00:00+99:99",
        "10000-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "-1",
        "1e999",
        "inFuture",
        "null",
        "true",
    ),
    *(
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://user:secret@127.0.0.1/",
        "file:///etc/passwd",
        "http://\u2488.example",
        "x" * 2049,
    ),
)
_KEYWORDS: Final = (
    *(
        "@context",
        "@id",
        "@type",
        "@value",
        "@list",
        "@set",
        "@graph",
        "@reverse",
        "@included",
        "@nest",
        "@index",
        "@base",
    ),
    *(
        "@import",
        "@propagate",
        "@protected",
        "@container",
        "@language",
        "@direction",
        "@vocab",
        "@version",
        "@nonsense",
        "",
    ),
    *(
        "and",
        "or",
        "xone",
        "andSequence",
        "constraint",
        "permission",
        "duty",
        "consequence",
        "remedy",
        "target",
        "edc:properties",
    ),
    *(
        "https://w3id.org/edc/v0.0.1/ns/id",
        "dspace:consumerPid",
        "https://w3id.org/dspace/2025/1/consumerPid",
        "odrl:permission",
    ),
)
_CONTEXTS: Final[tuple[Any, ...]] = (
    *({}, [], [None], [[]], 1, True, "", "https://w3id.org/dspace/2025/1/context.jsonld"),
    *({"@vocab": "x:"}, {"@vocab": ""}, {"@vocab": None}, {"@vocab": 1}, {"@base": "http://a/"}, {"@version": 1.1}),
    *(
        {"a": {"@id": "b:c", "@context": {"a": "@id"}}},
        {"a": "b:", "b": "a:"},
        {"@id": "x"},
        {"id": "@id", "type": "@type"},
    ),
    *(
        {"asset": {"@reverse": "x:y"}},
        {"policy": None},
        {"x": {"@id": "@type", "@container": "@set"}},
        {"@propagate": False},
    ),
    *({"@import": "https://w3id.org/dspace/2025/1/context.jsonld"}, {"a": {"@container": "@graph", "@id": "x:a"}}),
    *(["https://w3id.org/edc/dspace/v0.0.1"], ["https://w3id.org/dspace/2025/1/context.jsonld", {"@vocab": "x:"}]),
    [{}] * 70,
)
_scalars: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(_WORDS),
    st.sampled_from(_LITERALS).map(_RAW.__add__),
)
_trees: Final = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_KEYWORDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
_Path = tuple[str | int, ...]


def _paths(doc: Any, path: _Path = ()) -> Iterator[_Path]:  # noqa: ANN401 - any JSON
    yield path
    for key, value in doc.items() if isinstance(doc, dict) else enumerate(doc) if isinstance(doc, list) else ():
        yield from _paths(value, (*path, key))


def _replaced(doc: Any, path: _Path, new: Any) -> Any:  # noqa: ANN401 - any JSON
    if not path:
        return new
    key, *rest = path
    items: Any = dict(doc) if isinstance(doc, dict) else list(doc)
    items[key] = _replaced(items[key], tuple(rest), new)
    return items


def _at(doc: Any, path: _Path) -> Any:  # noqa: ANN401 - any JSON
    for key in path:
        doc = doc[key]
    return doc


def _wrapped(value: Any, how: int) -> Any:  # noqa: ANN401 - any JSON
    """A value in another spelling, some of which JSON-LD knows."""
    deep: Any = value
    for _ in range(80):
        deep = [deep]
    ways = ([value], [value, value], {"@value": value}, {"@id": value}, {"@list": [value]}, {"@set": value}, str(value))
    return (*ways, {"@value": value, "@type": "x:y"}, {"@graph": [value]}, deep)[how % 10]


@st.composite
def spoilt_trees(draw: st.DrawFn, doc: Any) -> Any:  # noqa: ANN401 - any JSON
    """The document with one to four changes."""
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(sorted(_paths(doc), key=repr)))
        value = _at(doc, path)
        match draw(st.sampled_from(["replace", "wrap", "drop", "add", "rename", "context", "graft"])):
            case "replace":
                doc = _replaced(doc, path, draw(_trees))
            case "wrap":
                doc = _replaced(doc, path, _wrapped(value, draw(st.integers(0, 9))))
            case "drop" if isinstance(value, dict | list) and value:
                gone = draw(
                    st.sampled_from(sorted(value, key=repr) if isinstance(value, dict) else [*range(len(value))])
                )
                kept: Any = {k: v for k, v in value.items() if k != gone} if isinstance(value, dict) else value[1:]
                doc = _replaced(doc, path, kept)
            case "add" if isinstance(value, dict):
                name = draw(st.sampled_from(_KEYWORDS) | st.text(max_size=6))
                doc = _replaced(doc, path, {**value, name: draw(_trees)})
            case "rename" if isinstance(value, dict) and value:
                old = draw(st.sampled_from(sorted(value)))
                new = draw(
                    st.sampled_from(
                        [
                            f"dspace:{old}",
                            f"odrl:{old}",
                            f"edc:{old}",
                            f"https://w3id.org/edc/v0.0.1/ns/{old}",
                            f"x:{old}",
                        ]
                    )
                )
                doc = _replaced(doc, path, {**value, new: value[old]})
            case "context" if isinstance(value, dict):
                doc = _replaced(doc, path, {**value, "@context": draw(st.sampled_from(_CONTEXTS))})
            case "graft":
                doc = _replaced(doc, path, _at(doc, draw(st.sampled_from(sorted(_paths(doc), key=repr)))))
    return doc


def _text(doc: Any) -> str:  # noqa: ANN401 - any JSON
    """JSON, with the literals as they are."""
    text = json.dumps(doc, ensure_ascii=False)
    for literal in _LITERALS:
        text = text.replace(json.dumps(_RAW + literal, ensure_ascii=False), literal)
    return text


_NASTY: Final = (
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\\",
        b'"',
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\r\n",
        b"0",
        b"-",
        b"e",
        b"\\u",
        b"\\ud83d",
        b"/*",
        b"\x1b",
        b"\xe2\x80\xa8",
    ),
)


@st.composite
def spoilt_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """The bytes with some bits turned, cut off, doubled or put in between."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        end = draw(st.integers(at, min(len(body), at + 64)))
        match draw(st.sampled_from(["flip", "cut", "insert", "double", "remove", "encode"])):
            case "flip" if at < len(body):
                body = body[:at] + bytes([body[at] ^ (1 << draw(st.integers(0, 7)))]) + body[at + 1 :]
            case "cut":
                body = body[:at]
            case "insert":
                body = body[:at] + draw(st.sampled_from(_NASTY) | st.binary(max_size=4)) + body[at:]
            case "double":
                body = body[:end] + body[at:end] + body[end:]
            case "remove":
                body = body[:at] + body[end:]
            case "encode":
                body = body.decode("utf-8", "replace").encode(
                    draw(st.sampled_from(["utf-16", "utf-32", "latin-1"])), "replace"
                )
    return body


def spoilt(doc: Any) -> st.SearchStrategy[bytes]:  # noqa: ANN401 - any JSON
    """Bodies that began as `doc`."""
    whole = spoilt_trees(doc).map(lambda tree: _text(tree).encode("utf-8", "surrogatepass"))
    return whole | whole.flatmap(spoilt_bytes) | st.just(json.dumps(doc).encode()).flatmap(spoilt_bytes)
