"""The left operands of EDC's criteria: how a query names a property or a field.

A path is words joined by dots; a word in single quotes may hold dots itself, as IRIs do:
`'http://purl.org/dc/terms/type'.'@id'`, `privateProperties.'https://w3id.org/catenax/ontology/common#version'`. An IRI
may also stand alone without quotes. Words are expanded like the keys of properties, so that both meet after expansion.
"""

from typing import Final

from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import EDC
from connector.semantics.scope import Scope

_LEGACY: Final = {"asset:prop:id": f"{EDC}id"}  # the name of an asset's id before EDC 0.1; old clients still ask for it
_DEFAULT: Final = Scope()


def operand_path(left: str) -> tuple[str, ...]:
    """Give the path of expanded keys that a left operand names: `id` and `edc:id` give (".../ns/id",).

    Raises Invalid (/operandLeft): blank, an empty word, a quote that is not closed or not followed by a dot.
    """
    path: list[str] = []
    rest = left.strip()
    while True:
        word, rest, more = _first_word(rest, left)
        if not word:
            raise Invalid("operandLeft has an empty part", "/operandLeft", left)
        path.append(_LEGACY.get(word) or _DEFAULT.key(word))
        if not more:
            return tuple(path)


def _first_word(text: str, left: str) -> tuple[str, str, bool]:
    """Split off the first word of a path: the word, the rest, and whether a rest must follow."""
    if not text.startswith("'"):
        word, dot, rest = text.partition(".")
        bare_iri = "://" in word or word.startswith("urn:")
        return (text, "", False) if bare_iri else (word, rest, bool(dot))
    word, closed, rest = text[1:].partition("'")
    if not closed:
        raise Invalid("operandLeft has a quote that is not closed", "/operandLeft", left)
    if rest and not rest.startswith("."):
        raise Invalid("operandLeft goes on after a closing quote without a dot", "/operandLeft", left)
    return word, rest[1:], bool(rest)
