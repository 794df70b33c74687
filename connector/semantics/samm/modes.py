"""How strictly a model is read. The published schemas lose some of what a model says; each loss is a rule here.

`OFFICIAL` has none of the rules: its verdicts are those of the schemas that the official generator makes, which are
what partners validate with. `STRICT` has all of them: what SAMM and XML Schema mean.
"""

from dataclasses import dataclass, fields
from typing import Final, Self

from connector.protocol.errors import Invalid


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked beyond the official schemas. All rules narrow, but for `null_optional`, which widens."""

    integers: bool = False
    """xsd:integer and its kin are whole numbers (5.0 is one, 1.5 is not)."""
    closed: bool = False
    """Objects have no members that the model does not know. Abstract Entities stay open: others extend them."""
    anchored: bool = False
    """A regular expression covers the entire text, not a part of it."""
    lexical: bool = False
    """Texts of XML Schema types are spelled as XML Schema says: dates, times, durations, URIs, binary data, CURIEs."""
    formats: bool = False
    """`format` is checked: `uri`, `date`, `time`, `date-time`, `duration`. Types that `lexical` covers have none."""
    languages: bool = False
    """A multi-language text maps language tags to texts."""
    constraints: bool = False
    """FixedPointConstraint and EncodingConstraint count."""
    bounds: bool = False
    """Bounds of xsd:float are exact, not rounded to 32 bits, and infinity bounds nothing."""
    null_optional: bool = False
    """An optional property may be null."""

    @classmethod
    def mode(cls, name: str, changes: tuple[str, ...] = ()) -> Self:
        """Give the rules of "official" or "strict", changed: "integers" adds a rule, "no-integers" takes it away.

        Raises Invalid if there is no such mode or rule.
        """
        known = [rule.name for rule in fields(cls)]
        if name not in MODES:
            raise Invalid(f"there is no mode '{name}'; known are: {', '.join(MODES)}")
        chosen = dict.fromkeys(known, name == "strict")
        for change in changes:
            rule = change.removeprefix("no-").replace("-", "_")
            if rule not in known:
                names = ", ".join(known).replace("_", "-")
                raise Invalid(f"there is no rule '{change}'; known are: {names}, each also with 'no-' before it")
            chosen[rule] = not change.startswith("no-")
        return cls(**chosen)


MODES: Final = ("official", "strict")
OFFICIAL: Final = Rules()
STRICT: Final = Rules.mode("strict")
