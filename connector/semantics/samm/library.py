"""Where model elements are found: the files that were named, then `<root>/<namespace>/<version>/*.ttl`.

Elements are fetched when they are asked for, so a prefix that is declared and never used costs nothing, and only what
an Aspect needs must be there. The folder a user names comes first; a namespace it does not hold is looked for in the
next root, at last among the models delivered with the connector. Nothing is ever fetched from a network.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from connector.protocol.errors import Invalid
from connector.semantics.samm import turtle
from connector.semantics.samm.turtle import Literal, Node

MAX_FILES: Final = 256
"""Files read for one Aspect."""
MAX_BYTES: Final = 32 << 20
"""Bytes read for one Aspect."""
MAX_ENTRIES: Final = 10_000
"""Entries of one list."""

_ELEMENT: Final = re.compile(r"urn:samm:([\w-]+(?:\.[\w-]+)*):([0-9]+\.[0-9]+\.[0-9]+)#[^#]+", re.ASCII)
_FIRST, _REST, _NIL = (f"{turtle.RDF}{name}" for name in ("first", "rest", "nil"))


class Library:
    """The statements of a model and of what it refers to.

    model: a Turtle file, or a folder of them; its root is two levels above the folder. None: roots alone.
    roots: further roots, asked in this order.
    Raises Invalid if the model cannot be read.
    """

    def __init__(self, model: Path | None, roots: tuple[Path, ...] = ()) -> None:
        self.digests: dict[Path, str] = {}
        """Every file that was read, with the SHA-256 of its content."""
        self.listed: dict[Path, tuple[str, ...]] = {}
        """Every folder that was looked into, with the model files it held."""
        self._said: dict[str, dict[str, list[Node]]] = {}
        self._files: dict[str, Path] = {}
        self._bytes = 0
        self._roots = roots
        if model is not None:
            self._named(model)

    def about(self, name: str) -> Mapping[str, list[Node]]:
        """Give what is said about an element or blank node; raises Invalid if that is nothing."""
        if name not in self._said and (element := _ELEMENT.fullmatch(name)):
            self._fetch(element[1], element[2])
        if name in self._said:
            return self._said[name]
        if name.startswith(turtle.BLANK):
            raise Invalid(f"{self.place(name)} is empty")
        looked = ", ".join(str(root) for root in self._roots) or "no folder"
        raise Invalid(f"{name} is not defined in the model, nor in its namespace under {looked}")

    @property
    def aspects(self) -> tuple[str, ...]:
        """The Aspects among what was read so far, sorted."""
        return tuple(sorted(name for name, said in self._said.items() if "samm:Aspect" in said.get(turtle.TYPE, ())))

    def place(self, name: str) -> str:
        """How an error text about an element or blank node begins: with what can be looked for, and its file."""
        holder = self.holder(name)
        where = f"{holder} in {self._files.get(holder, 'the model')}"
        return where if holder == name else f"{where} has a part without a name that"

    def holder(self, name: str) -> str:
        """The element that a blank node stands in, for error texts; an element itself."""
        seen: set[str] = set()
        while name.startswith(turtle.BLANK) and name not in seen:
            seen.add(name)
            name = self._holders.get(name, name)
        return name

    @cached_property
    def _holders(self) -> Mapping[str, str]:
        """Who speaks of each blank node; asked for when something is refused, and not before."""
        return {
            thing: subject
            for subject, about in self._said.items()
            for things in about.values()
            for thing in things
            if isinstance(thing, str) and thing.startswith(turtle.BLANK)
        }

    def one(self, name: str, predicate: str) -> Node | None:
        """Give the only object of a predicate, None if there is none; raises Invalid if there are different ones."""
        found = list(dict.fromkeys(self.about(name).get(predicate, ())))
        if len(found) > 1:
            raise Invalid(f"{self.place(name)} has {len(found)} different values of {predicate}")
        return found[0] if found else None

    def entries(self, owner: str, head: Node) -> list[Node]:
        """Give the entries of an RDF list. Raises Invalid if it is broken, goes in circles or exceeds MAX_ENTRIES."""
        found: list[Node] = []
        while head != _NIL:
            if isinstance(head, Literal) or len(found) == MAX_ENTRIES:
                raise Invalid(f"{self.place(owner)} has a list that is broken or endless")
            entry, rest = self.one(head, _FIRST), self.one(head, _REST)
            if entry is None or rest is None:
                raise Invalid(f"{self.place(owner)} has a list that is broken or endless")
            found.append(entry)
            head = rest
        return found

    def _named(self, model: Path) -> None:
        folder = model if model.is_dir() else model.parent
        self._roots = (folder.resolve().parent.parent, *self._roots)
        if model.is_dir():
            if not self._listed(folder.resolve()):
                raise Invalid(f"the model folder {model} holds no .ttl file")
            self._read_folder(folder.resolve())
        else:
            self._read(folder.resolve() / model.name)

    def _fetch(self, namespace: str, version: str) -> None:
        """Read the folder of a namespace in the first root that has it."""
        for root in self._roots:
            folder = root / namespace / version
            if self._listed(folder):
                self._read_folder(folder)
                return

    def _listed(self, folder: Path) -> tuple[str, ...]:
        if folder not in self.listed:
            self.listed[folder] = model_files(folder)
        return self.listed[folder]

    def _read_folder(self, folder: Path) -> None:
        for name in self._listed(folder):
            self._read(folder / name)

    def _read(self, file: Path) -> None:
        if file in self.digests:
            return
        content, said = turtle.read(file)
        self._bytes += len(content)
        if len(self.digests) >= MAX_FILES or self._bytes > MAX_BYTES:
            raise Invalid(f"the model needs more than {MAX_FILES} files or {MAX_BYTES} bytes (at {file})")
        self.digests[file] = hashlib.sha256(content).hexdigest()
        for subject, about in said.items():
            first = self._files.setdefault(subject, file)
            if first != file and _ELEMENT.fullmatch(subject):
                raise Invalid(f"{subject} is defined in {first} and in {file}: remove one of them")
            mine = self._said.setdefault(subject, {})
            for predicate, things in about.items():
                mine.setdefault(predicate, []).extend(things)


def model_files(folder: Path) -> tuple[str, ...]:
    """Name the Turtle files of a folder, sorted; none if there is no such folder."""
    try:
        return tuple(sorted(file.name for file in folder.iterdir() if file.suffix == ".ttl" and file.is_file()))
    except OSError:
        return ()
