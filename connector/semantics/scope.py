"""What names mean at one place of a JSON-LD document, for the contexts that clients really write.

A scope knows a vocabulary, prefixes and plain term definitions (JSON-LD 1.1, 4.1 and 9.15): enough for every client we
have seen, and a thousand times cheaper than the full algorithm. Whatever goes beyond raises `UnreadContextError`; the
caller then takes the full processor. Scopes never refuse a document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, Self

from connector.protocol.vocabulary import EDC
from connector.semantics.contexts import CONTEXTS, PREFIXES

_DELIMITERS: Final = (":", "/", "?", "#", "[", "]", "@")
_CHAIN: Final = 16  # definitions that lean on each other; more is left to the full processor
_READ: Final = frozenset({"@id", "@type", "@container", "@prefix", "@protected"})
_IGNORED: Final = frozenset({"@version", "@protected"})


class UnreadContextError(Exception):
    """A context says something that only the full JSON-LD processor understands."""


@dataclass(frozen=True, slots=True)
class Term:
    """A defined name. `coercion`: "@id" or "@vocab" if strings under it are references. `prefix`: may start others."""

    iri: str
    coercion: str = ""
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """The meaning of names. `inline` are the terms that the document itself defines, not a published context."""

    vocab: str = EDC
    terms: Mapping[str, Term] = field(default_factory=dict)
    inline: frozenset[str] = frozenset()

    def within(self, context: object) -> "Scope":
        """Give the scope below a node with this `@context`. Raises UnreadContextError."""
        scope = self
        for entry in context if isinstance(context, list) else [context]:
            if entry is None:
                scope = Scope()
            elif isinstance(entry, str):
                scope = scope.joined(_published(entry))
            elif isinstance(entry, dict):
                scope = scope.defined(entry)
            else:
                raise UnreadContextError
        return scope

    def compact(self, name: str) -> str | None:
        """Expand `prefix:local` (5.2); None when it is not a compact IRI or the prefix means nothing."""
        prefix, colon, local = name.partition(":")
        if not colon or local.startswith("//"):
            return None
        term = self.terms.get(prefix)
        if term is not None:
            return term.iri + local if term.prefix else None
        return PREFIXES[prefix] + local if prefix in PREFIXES else None

    def key(self, name: str) -> str:
        """Expand the name of a member or a type: a term, a compact IRI, an IRI, or a word of the vocabulary."""
        if term := self.terms.get(name):
            return term.iri
        if name.startswith("@"):
            return name
        return self.compact(name) or (name if ":" in name else self.vocab + name)

    def reference(self, value: str) -> str:
        """Expand the value of an `@id`: a compact IRI, or an IRI (relative ones stay as they are)."""
        return self.compact(value) or value

    def joined(self, published: Self) -> "Scope":
        """Give the scope after a published context: its terms win over those before it."""
        vocab = published.vocab or self.vocab
        return Scope(vocab, {**self.terms, **published.terms}, self.inline - published.terms.keys())

    def defined(self, context: Mapping[str, Any]) -> "Scope":
        """Give the scope after a context written as an object. Raises UnreadContextError."""
        names = [name for name in context if not name.startswith("@")]
        if (context.keys() - names) - _IGNORED - {"@vocab"}:
            raise UnreadContextError
        base = self
        if "@vocab" in context:
            vocab = context["@vocab"]
            if not isinstance(vocab, str) or ":" not in vocab:
                raise UnreadContextError
            base = replace(self, vocab=self.compact(vocab) or vocab)
        terms = {name: _term(name, context, base, ()) for name in names}
        return replace(base, terms={**self.terms, **terms}, inline=self.inline | terms.keys())


def _term(name: str, context: Mapping[str, Any], scope: Scope, above: tuple[str, ...]) -> Term:
    """Read one definition (JSON-LD 1.1 API, 4.2). `above`: the definitions that asked for this one."""
    raw = context[name]
    if name in above or len(above) > _CHAIN or not isinstance(raw, str | dict):
        raise UnreadContextError
    definition = {"@id": raw} if isinstance(raw, str) else raw
    means, coercion = definition.get("@id", name), definition.get("@type", "")
    readable = definition.keys() <= _READ and definition.get("@container", "@set") in ("@set", ["@set"])
    if not readable or not isinstance(means, str) or coercion not in ("", "@id", "@vocab"):
        raise UnreadContextError
    own = means == name and ":" not in name
    iri = scope.vocab + name if own else _meaning(means, context, scope, (*above, name))
    prefix = iri.endswith(_DELIMITERS) if isinstance(raw, str) else definition.get("@prefix") is True
    return Term(iri, coercion, prefix)


def _meaning(text: str, context: Mapping[str, Any], scope: Scope, above: tuple[str, ...]) -> str:
    """Expand what a definition says, which may use other definitions of the same context."""
    if text in context and text not in above[-1:]:
        return _term(text, context, scope, above).iri if not text.startswith("@") else text
    prefix, colon, local = text.partition(":")
    if colon and not local.startswith("//") and prefix in context:
        term = _term(prefix, context, scope, above)
        return term.iri + local if term.prefix else text
    return scope.key(text)


@lru_cache
def _published(url: str) -> Scope:
    """The names that a bundled context defines everywhere; what it defines below a class is left to the reader."""
    context = CONTEXTS[url]
    shallow: dict[str, Any] = {}
    for name, raw in context.items():
        if isinstance(raw, str):
            shallow[name] = raw
        elif isinstance(raw, dict) and raw.get("@type", "@id") in ("@id", "@vocab"):
            shallow[name] = {key: value for key, value in raw.items() if key != "@context"}
    vocab = shallow.pop("@vocab", "")
    return Scope(vocab, Scope(vocab).defined(shallow).terms)
