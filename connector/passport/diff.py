"""What changed between two versions of a passport, member by member."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from connector.passport.canonical import MAX_DEPTH
from connector.passport.disclosure import ClassMap
from connector.protocol.errors import Invalid
from connector.semantics.validation import pointer

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One place: `kind` is added, removed or changed; a value that is not there is None."""

    place: str
    kind: str
    before: Any
    after: Any
    disclosure_class: str | None


def changes(before: object, after: object, classes: ClassMap) -> list[Change]:
    """All changes, in the order of their places; lists entry by entry. Raise Invalid if nested too deep.

    What came or went as a whole is told field by field, because each field has a class of its own.
    """
    found = [
        Change(
            pointer(path),
            "added" if old is _ABSENT else "removed" if new is _ABSENT else "changed",
            None if old is _ABSENT else old,
            None if new is _ABSENT else new,
            classes.class_of(pointer(path)),
        )
        for path, old, new in _walk((), before, after, classes)
    ]
    return sorted(found, key=lambda change: change.place)


def _walk(
    path: tuple[str | int, ...], old: object, new: object, classes: ClassMap
) -> Iterator[tuple[tuple[str | int, ...], object, object]]:
    if len(path) > MAX_DEPTH:
        raise Invalid(f"a passport is nested deeper than {MAX_DEPTH} levels", pointer(path[:8]))
    if old is _ABSENT and _holds_fields(path, new, classes):
        old = {}
    elif new is _ABSENT and _holds_fields(path, old, classes):
        new = {}
    if isinstance(old, dict) and isinstance(new, dict):
        for name in old.keys() | new.keys():
            yield from _walk((*path, name), old.get(name, _ABSENT), new.get(name, _ABSENT), classes)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _walk((*path, index), _entry(old, index), _entry(new, index), classes)
    elif old != new or (type(old) is not type(new) and not _numbers(old, new)):
        yield path, old, new


def _holds_fields(path: tuple[str | int, ...], value: object, classes: ClassMap) -> bool:
    return isinstance(value, dict) and bool(value) and classes.class_of(pointer(path)) is None


def _numbers(*values: object) -> bool:
    """1 and 1.0 are one number in JSON; true is none."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _entry(items: list[Any], index: int) -> object:
    return items[index] if index < len(items) else _ABSENT
