"""What the strict rules ask, each alone and all together."""

from dataclasses import fields
from pathlib import Path

import pytest

from connector.protocol.errors import Invalid
from connector.semantics.samm.modes import OFFICIAL, STRICT, Rules
from tests.unit.samm_world import accepts, member, schema_of

RULES = [rule.name for rule in fields(Rules)]


def plain(data_type: str) -> str:
    return f"[ a samm:Characteristic ; samm:dataType {data_type} ]"


def trait(base: str, constraint: str) -> str:
    return f"[ a samm-c:Trait ; samm-c:baseCharacteristic {base} ; samm-c:constraint [ {constraint} ] ]"


def only(rule: str) -> Rules:
    return Rules.mode("official", (rule,))


def test_official_has_no_rule_and_strict_has_all() -> None:
    assert not any(getattr(OFFICIAL, rule) for rule in RULES)
    assert all(getattr(STRICT, rule) for rule in RULES)
    assert Rules.mode("official") == OFFICIAL


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_switched_alone(rule: str) -> None:
    said = rule.replace("_", "-")
    assert [name for name in RULES if getattr(Rules.mode("official", (said,)), name)] == [rule]
    assert [name for name in RULES if not getattr(Rules.mode("strict", (f"no-{said}",)), name)] == [rule]


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(Invalid, match="no mode 'loose'; known are: official, strict"):
        Rules.mode("loose")
    with pytest.raises(Invalid, match=r"no rule 'no-tea'; known are: integers, .*null-optional"):
        Rules.mode("strict", ("no-tea",))


@pytest.mark.parametrize(
    ("rule", "characteristic", "strict_only"),
    [
        ("integers", plain("xsd:int"), [1.5]),
        ("anchored", trait("samm-c:Text", 'a samm-c:RegularExpressionConstraint ; samm:value "a|b"'), ["ac", "bb"]),
        ("lexical", plain("xsd:dateTime"), ["at 2026-01-01T00:00:00", "2026-01-01T00:00:00 or so"]),
        ("lexical", plain("xsd:date"), ["today", "2026-13-01", "2026-01-01T00:00:00"]),
        ("lexical", plain("xsd:time"), ["noon", "25:00:00"]),
        ("lexical", plain("xsd:duration"), ["P", "PT", "1 day", "P1DT", "P1H"]),
        ("lexical", plain("xsd:dayTimeDuration"), ["D", "PD", "PT"]),
        ("lexical", plain("xsd:yearMonthDuration"), ["xP1Y"]),
        ("lexical", plain("xsd:hexBinary"), ["0aF", "xyz1"]),
        ("lexical", plain("xsd:base64Binary"), ["?", "abc", "ab="]),
        ("lexical", plain("xsd:gMonthDay"), ["12-24", "--13-01"]),
        ("lexical", plain("samm:curie"), ["see unit:metre"]),
        ("lexical", plain("xsd:anyURI"), ["a b", "<a>"]),
        ("formats", plain("xsd:anyURI"), ["a b", "relative"]),
        ("formats", plain("xsd:date"), ["2026-02-30", "2026-01-01Z"]),
        ("languages", "samm-c:MultiLanguageText", [{"en": 1}, {"not a language": "a"}]),
        (
            "constraints",
            trait(plain("xsd:decimal"), "a samm-c:FixedPointConstraint ; samm-c:scale 2 ; samm-c:integer 3"),
            [0.001, 1000, -1000],
        ),
        ("constraints", trait("samm-c:Text", "a samm-c:EncodingConstraint ; samm:value samm:US-ASCII"), ["ä"]),
        ("bounds", trait(plain("xsd:float"), 'a samm-c:RangeConstraint ; samm-c:minValue "0.1"^^xsd:float'), []),
    ],
)
def test_rule_refuses_what_the_official_schema_lets_pass(
    tmp_path: Path, rule: str, characteristic: str, strict_only: list[object]
) -> None:
    official = member(tmp_path, characteristic)
    alone = member(tmp_path, characteristic, rules=only(rule))
    assert [value for value in strict_only if not accepts(official, value)] == []
    assert [value for value in strict_only if accepts(alone, value, formats=only(rule).formats)] == []


@pytest.mark.parametrize(
    ("characteristic", "good"),
    [
        (plain("xsd:int"), [1, 1.0, -5]),
        (plain("xsd:dateTime"), ["2026-01-01T00:00:00", "2026-01-01T24:00:00Z", "-0044-03-15T12:00:00.5+01:00"]),
        (plain("xsd:date"), ["2026-01-01", "2026-01-01Z", "2026-01-01+01:00"]),
        (plain("xsd:time"), ["12:00:00", "24:00:00Z"]),
        (plain("xsd:dateTimeStamp"), ["2026-01-01T00:00:00Z"]),
        (plain("xsd:duration"), ["P1Y", "P1Y2M3DT4H5M6.7S", "-PT1M", "PT0.5S", "P3D", "P2MT1H"]),
        (plain("xsd:dayTimeDuration"), ["P1D", "PT1H", "P1DT1M"]),
        (plain("xsd:yearMonthDuration"), ["P1Y", "P1Y2M", "-P2M"]),
        (plain("xsd:hexBinary"), ["", "0aFF"]),
        (plain("xsd:base64Binary"), ["", "YQ==", "YWI=", "YWJj"]),
        (plain("xsd:gMonthDay"), ["--12-24"]),
        (plain("xsd:anyURI"), ["https://example.com/ä", "../relative", ""]),
        (plain("samm:curie"), ["unit:metre"]),
        ("samm-c:MultiLanguageText", [{"en": "house", "de-DE": "Haus"}, {}]),
        (
            trait(plain("xsd:decimal"), "a samm-c:FixedPointConstraint ; samm-c:scale 2 ; samm-c:integer 3"),
            [1, 999.99, -0.01, 1.13, 4.35],
        ),
    ],
)
def test_strict_mode_accepts_what_samm_means(tmp_path: Path, characteristic: str, good: list[object]) -> None:
    schema = member(tmp_path, characteristic, rules=STRICT)
    assert [value for value in good if not accepts(schema, value, formats=True)] == []


def test_exact_bounds_of_floats(tmp_path: Path) -> None:
    upper = trait(plain("xsd:float"), 'a samm-c:RangeConstraint ; samm-c:maxValue "{}"^^xsd:float')
    assert member(tmp_path, upper.format("2147483647"), rules=only("bounds"))["maximum"] == 2147483647
    assert "maximum" not in member(tmp_path, upper.format("INF"), rules=only("bounds"))


FAMILY = """
    :A a samm:Aspect ; samm:properties ( :e [ samm:property :b ; samm:optional true ] ) .
    :e a samm:Property ; samm:characteristic [ a samm:Characteristic ; samm:dataType :E ] .
    :b a samm:Property ; samm:characteristic [ a samm:Characteristic ; samm:dataType :Base ] .
    :Base a samm:AbstractEntity ; samm:properties ( :x ) . :x a samm:Property ; samm:characteristic samm-c:Text .
    :E a samm:Entity ; samm:extends :Base ; samm:properties ( [ samm:property :y ; samm:optional true ] ) .
    :y a samm:Property ; samm:characteristic
        [ a samm-c:Enumeration ; samm:dataType xsd:string ; samm-c:values ( "one" ) ] .
"""


def test_closed_objects_know_all_their_members(tmp_path: Path) -> None:
    schema = schema_of(tmp_path, FAMILY, only("closed"))
    assert accepts(schema, {"e": {"x": "a", "y": "one"}})
    assert not accepts(schema, {"e": {"x": "a"}, "z": 1})
    assert not accepts(schema, {"e": {"x": "a", "z": 1}})
    assert not accepts(schema, {"e": {"y": "one"}})
    assert accepts(schema, {"e": {"x": "a"}, "b": {"x": "a", "of an extension": 1}})


def test_null_stands_for_an_optional_member_only(tmp_path: Path) -> None:
    schema = schema_of(tmp_path, FAMILY, only("null-optional"))
    assert accepts(schema, {"e": {"x": "a", "y": None}, "b": None})
    assert accepts(schema, {"e": {"x": "a", "y": "one"}, "b": {"x": "a"}})
    assert not accepts(schema, {"e": None})
    assert not accepts(schema, {"e": {"x": None}})
    assert not accepts(schema, {"e": {"x": "a"}, "b": {"x": None}})
    assert not accepts(schema_of(tmp_path, FAMILY), {"e": {"x": "a", "y": None}})


def test_null_for_an_optional_entity_that_extends_another_and_for_an_either(tmp_path: Path) -> None:
    body = FAMILY.replace(
        ":properties ( :e",
        ":properties ( [ samm:property :e ; samm:optional true ] [ samm:property :l ; samm:optional true ]",
    )
    body += ":l a samm:Property ; samm:characteristic"
    body += " [ a samm-c:Either ; samm-c:left samm-c:Text ; samm-c:right samm-c:Boolean ] ."
    schema = schema_of(tmp_path, body, only("null-optional"))
    assert accepts(schema, {"e": None, "l": None})
    assert accepts(schema, {"e": {"x": "a"}, "l": {"left": "a"}})
    assert not accepts(schema, {"e": {"y": "one"}})
    assert not accepts(schema, {"l": {"left": 1}})
