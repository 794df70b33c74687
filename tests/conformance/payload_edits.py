"""Every single edit of a payload that could change a verdict, made in place and undone before the next."""

import copy
from collections.abc import Iterator
from typing import Any

Node = Any  # any part of a JSON document

NUMBERS = (
    *(-1, -0.01, 0, 0.0, 0.01, 0.99, 1, 1.0, 1.5, 2.99, 3, 3.01, 5, 5.01, 10, 10.01, 100, 100.0, 100.01),
    *(2**31 - 1, 2**31, 2**63, 2**64, 10**30, 1e300, -1e300, 5e-324),
)
TEXTS = (
    *("", " ", "abc", "x" * 100, "x" * 101, "EV", "unit:kilogram", "unit:", ":a", "true", "1"),
    *("2024-13-45", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z", "2026-02-30T24:00:00+14:00"),
    *(
        "26-1-1",
        "2026-01-01T00:00:00.123-13:59 and more",
        "http://example.com/a b",
        "https://example.com",
        "a/b",
        "äöü",
    ),
    *(
        "BPNL00000000ABCD",
        "BPNS00000000ABCD",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
        "DE",
        "DE-BY",
        "customKey:x",
    ),
)
ECMA_TEXTS = ("\n", "EV\n", "2026-01-01\n", "BPNL00000000ABCD\n", "\u0661\u0662", "\ufeff")
"""Texts of which Python's regular expressions and ECMA's say different things."""


def edits(node: Node, root: Node, place: str = "") -> Iterator[tuple[str, str]]:
    """Spoil every node below `node` in every way; yields place and change while `root` is changed."""
    if not place:
        root["anExtraMember"] = {"of": "no model"}
        yield "", "member added"
        del root["anExtraMember"]
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        old, here = node[key], f"{place}/{key}"
        for value in replacements(old):
            node[key] = value
            yield here, f"= {str(value)[:60]!r}"
        node[key] = old
        if isinstance(node, dict):
            members = dict(node)
            del node[key]
            yield here, "deleted"
            node[f"{key}x"] = old
            yield here, "renamed"
            node.clear()
            node.update(members)
        else:
            node.insert(key, copy.deepcopy(old))
            yield here, "doubled"
            del node[key]
        if isinstance(old, dict):
            old["anExtraMember"] = 1
            yield here, "member added"
            del old["anExtraMember"]
        yield from edits(old, root, here)


def replacements(old: Node) -> list[Node]:
    found: list[Node] = [None, True, False, *NUMBERS, *TEXTS, [], {}, [1], [1, 1.0], [{}], {"left": 1}, {"en": "text"}]
    if isinstance(old, str):
        found += [f"{old}x", f"x{old}", f"{old} ", old[:-1], old.lower(), old.upper(), old * 30, [old], f"{old}Z"]
    elif isinstance(old, bool):
        found += [str(old).lower(), int(old)]
    elif isinstance(old, int | float):
        found += [float(old), old + 0.5, -old, str(old), [old]]
    elif isinstance(old, list):
        found += [[*old, *copy.deepcopy(old)], [*old, {}], [*old, None], old[:1], old[0] if old else 0]
    else:
        found += [[copy.deepcopy(old)]]
    return found
