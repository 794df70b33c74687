"""One Turtle file as statements, in names that are the same for every version of the meta model.

rdflib knows the grammar (W3C RDF 1.1 Turtle); its graph and its literals are left out, because a literal there is
evaluated: a date changes its spelling, an XML literal is parsed, a number with a million digits is computed. Here text
stays text until a model asks for a value. Nothing in Turtle makes a reader follow an address, and this one has none.

Two published habits are borne: white space before `^^`, which the grammar allows and rdflib refuses, and comments in
Latin-1. BAMM names become SAMM names, and names of the meta model lose their version (`samm:Property`,
`samm-c:Text`), because what is read here did not change its meaning from BAMM 1.0.0 to SAMM 2.3.0.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from connector.protocol.errors import Invalid

if TYPE_CHECKING:
    from rdflib.plugins.parsers.notation3 import RDFSink

MAX_FILE_BYTES: Final = 1 << 20
"""Some six times the largest published model."""
MAX_TEXT: Final = 64 << 10
"""Characters of one string: rdflib needs quadratic time to read a long one."""

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
TYPE: Final = f"{RDF}type"
BLANK: Final = "_:"
"""How the name of a blank node begins."""

_XSD: Final = "http://www.w3.org/2001/XMLSchema#"
_META: Final = re.compile(
    r"urn:samm:org\.eclipse\.esmf\.samm:(meta-model|characteristic|entity|unit):[^#]*#(.*)", re.DOTALL
)
_PREFIX: Final = {"meta-model": "samm", "characteristic": "samm-c", "entity": "samm-e", "unit": "unit"}
_TOKEN: Final = re.compile(
    r"""(?P<text>"{3}(?:[^"\\]|\\.|"(?!""))*"{3}|'{3}(?:[^'\\]|\\.|'(?!''))*'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    # passed over whole: IRIs, comments, and all that follows a string without end, lest each quote in it be tried
    r"(?:\s+(?=\^\^))?|<[^<>\s]*>|\#[^\n]*|[\"'].*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as it is written: `datatype` is "xsd:string" and the like, "" if none is said."""

    text: str
    datatype: str = ""
    language: str = ""


Node = str | Literal
"""An IRI, the name of a blank node, or a literal."""
Statements = Mapping[str, Mapping[str, list[Node]]]
"""What a file says: subject, then predicate, then objects in the order of the file."""


def read(file: Path) -> tuple[bytes, Statements]:
    """Read a Turtle file: its bytes and what it says.

    Raises Invalid if it cannot be read, is longer than MAX_FILE_BYTES, or is not Turtle; the reason names the file.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as fault:
        raise Invalid(f"the model file {file} cannot be read: {fault.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise Invalid(f"the model file {file} is longer than {MAX_FILE_BYTES} bytes")
    return content, parse(_decoded(content, file), str(file))


def parse(text: str, name: str) -> Statements:
    """Parse Turtle. name: of the file, for errors and blank nodes.

    Raises Invalid if it is not Turtle, or has a string longer than MAX_TEXT.
    """
    if any(len(token[0]) > MAX_TEXT and token[0][0] in "\"'" for token in _TOKEN.finditer(text)):
        raise Invalid(f"the model file {name} has a text longer than {MAX_TEXT} characters, or one without end")
    try:
        return _parsed(text, name)
    except _NotTurtleError as first:
        patched = _TOKEN.sub(lambda found: found["text"] or found[0], text)
        if patched == text:
            raise Invalid(str(first)) from None
    try:
        return _parsed(patched, name)
    except _NotTurtleError as fault:
        raise Invalid(str(fault)) from None


@lru_cache(maxsize=65_536)
def normal(iri: str) -> str:
    """Give an IRI the name it has here: BAMM as SAMM, the meta model without version, `xsd:` and `rdf:` short."""
    if iri.startswith("urn:bamm:"):
        iri = "urn:samm:" + iri.removeprefix("urn:bamm:").replace("io.openmanufacturing:", "org.eclipse.esmf.samm:", 1)
    if meta := _META.fullmatch(iri):
        return f"{_PREFIX[meta[1]]}:{meta[2]}"
    if iri.startswith(_XSD):
        return "xsd:" + iri.removeprefix(_XSD)
    return "rdf:langString" if iri == f"{RDF}langString" else iri


class _NotTurtleError(Exception):
    """The text is not Turtle."""


def _decoded(content: bytes, file: Path) -> str:
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        import structlog  # noqa: PLC0415 - with what it imports it takes longer than reading a model

        structlog.get_logger(__name__).warning("model file is not UTF-8, read as Latin-1", file=str(file))
        return content.decode("latin-1")


def _parsed(text: str, name: str) -> Statements:
    from rdflib import Graph  # noqa: PLC0415 - 10 MB that a node needs only while it reads a model
    from rdflib.plugins.parsers.notation3 import SinkParser  # noqa: PLC0415 - the same

    said: dict[str, dict[str, list[Node]]] = {}
    # the base is of no meaning, but without one rdflib makes relative IRIs relative to the working directory
    parser = SinkParser(_sink()(Graph(), name, said), baseURI="urn:relative:", turtle=True)
    try:
        parser.loadBuf(text)
    except RecursionError:
        raise _NotTurtleError(f"the model file {name} is nested too deeply") from None
    except Exception as fault:  # noqa: BLE001 - rdflib raises whatever it stumbles over
        line = getattr(fault, "lines", parser.lines) + 1
        raise _NotTurtleError(f"the model file {name} is not Turtle (line {line})") from None
    return said


@lru_cache(maxsize=1)
def _sink() -> "Callable[..., RDFSink]":
    """The class that takes statements from rdflib's parser, made when rdflib is there."""
    from rdflib.plugins.parsers.notation3 import RDFSink  # noqa: PLC0415 - see above
    from rdflib.term import BNode  # noqa: PLC0415 - the same

    class Sink(RDFSink):
        def __init__(self, graph: Any, name: str, said: dict[str, dict[str, list[Node]]]) -> None:  # noqa: ANN401 - rdflib's
            super().__init__(graph)
            self.name, self.said = name, said

        @override
        def newLiteral(self, s: str, dt: str | None, lang: str | None) -> Any:
            return Literal(s, normal(str(dt)) if dt else "", lang or "")

        @override
        def makeStatement(self, quadruple: Any, why: object = None) -> None:
            _, predicate, subject, thing = quadruple
            about = self.said.setdefault(self.node(subject), {})
            about.setdefault(self.node(predicate), []).append(self.node(thing))

        def node(self, term: Any) -> Any:  # noqa: ANN401 - rdflib's
            if isinstance(term, Literal):
                return term
            if isinstance(term, BNode):
                return f"{BLANK}{self.name}#{term}"
            plain = self.normalise(None, term)  # a number or truth value in short form becomes a literal of rdflib
            return (
                Literal(str(plain), normal(str(plain.datatype))) if hasattr(plain, "datatype") else normal(str(plain))
            )

    return Sink
