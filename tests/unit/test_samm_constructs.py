"""Each construct of SAMM, and what the official generator makes of it."""

from pathlib import Path

import pytest

from connector.protocol.errors import Invalid
from connector.semantics.samm.schemas import aspect_schema
from tests.unit.samm_world import A, accepts, member, model, schema_of

ENTITY = ":E a samm:Entity ; samm:properties ( :x ) .\n:x a samm:Property ; samm:characteristic samm-c:Text .\n"
REF = {"$ref": "#/components/schemas/E"}
TEXT = {"type": "string"}


class TestObjects:
    def test_properties_are_required_unless_they_are_optional(self, tmp_path: Path) -> None:
        schema = schema_of(
            tmp_path,
            """:A a samm:Aspect ; samm:properties ( :a [ samm:property :b ; samm:optional true ]
                   [ samm:property :c ; samm:optional "false"^^xsd:boolean ] [ samm:property :d ] ) .
               :a a samm:Property ; samm:characteristic samm-c:Text .
               :b a samm:Property ; samm:characteristic samm-c:Text .
               :c a samm:Property ; samm:characteristic samm-c:Text .
               :d a samm:Property ; samm:characteristic samm-c:Text .""",
        )
        assert schema["properties"] == {"a": TEXT, "b": TEXT, "c": TEXT, "d": TEXT}
        assert schema["required"] == ["a", "c", "d"]
        assert schema["$schema"] == "http://json-schema.org/draft-04/schema"

    def test_required_is_left_out_where_nothing_is(self, tmp_path: Path) -> None:
        assert "required" not in schema_of(tmp_path, ":A a samm:Aspect ; samm:properties () .")

    def test_payload_name_takes_the_place_of_the_name_and_some_are_not_in_payloads(self, tmp_path: Path) -> None:
        schema = schema_of(
            tmp_path,
            """:A a samm:Aspect ; samm:properties ( [ samm:property :half ; samm:payloadName "50PercentLife" ]
                   [ samm:property :hidden ; samm:notInPayload true ] ) .
               :half a samm:Property ; samm:characteristic samm-c:Text .
               :hidden a samm:Property ; samm:characteristic samm-c:Text .""",
        )
        assert schema["properties"] == {"50PercentLife": TEXT}
        assert schema["required"] == ["50PercentLife"]

    def test_property_that_is_listed_twice_is_required_once(self, tmp_path: Path) -> None:
        schema = schema_of(
            tmp_path,
            """:A a samm:Aspect ; samm:properties ( :a :a [ samm:property :a ; samm:optional true ] ) .
               :a a samm:Property ; samm:characteristic samm-c:Text .""",
        )
        assert schema["required"] == ["a"]

    def test_two_properties_of_one_name_are_refused(self, tmp_path: Path) -> None:
        body = """:A a samm:Aspect ; samm:properties ( :a [ samm:property :b ; samm:payloadName "a" ] ) .
                  :a a samm:Property ; samm:characteristic samm-c:Text .
                  :b a samm:Property ; samm:characteristic samm-c:Boolean ."""
        with pytest.raises(Invalid, match=r"#A has two different properties that are called 'a'"):
            schema_of(tmp_path, body)

    @pytest.mark.parametrize("kind", ["samm:Characteristic", "samm-c:SingleEntity"])
    def test_entity_as_data_type_stands_in_place(self, tmp_path: Path, kind: str) -> None:
        assert member(tmp_path, f"[ a {kind} ; samm:dataType :E ]", ENTITY) == REF

    def test_entity_that_contains_itself_refers_to_itself(self, tmp_path: Path) -> None:
        schema = schema_of(
            tmp_path,
            """:A a samm:Aspect ; samm:properties ( :e ) . :e a samm:Property ; samm:characteristic :C .
               :C a samm-c:Set ; samm:dataType :E .
               :E a samm:Entity ; samm:properties ( :x [ samm:property :e ; samm:optional true ] ) .
               :x a samm:Property ; samm:characteristic samm-c:Text .""",
        )
        assert accepts(schema, {"e": [{"x": "a", "e": [{"x": "b", "e": []}]}]})
        assert not accepts(schema, {"e": [{"x": "a", "e": [{"e": []}]}]})

    def test_entity_that_extends_another_fulfils_both(self, tmp_path: Path) -> None:
        rest = ":F a samm:Entity ; samm:extends :E ; samm:properties ( :y ) .\n"
        rest += ":y a samm:Property ; samm:characteristic samm-c:Boolean .\n" + ENTITY
        schema = schema_of(
            tmp_path,
            ":A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property ;"
            " samm:characteristic [ a samm:Characteristic ; samm:dataType :F ] .\n" + rest,
        )
        assert schema["components"]["schemas"]["F"]["allOf"] == [REF]
        assert accepts(schema, {"p": {"x": "a", "y": True}})
        assert not accepts(schema, {"p": {"y": True}})

    def test_abstract_property_is_left_out_and_named_by_its_extension(self, tmp_path: Path) -> None:
        schema = schema_of(
            tmp_path,
            """:A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property ;
                   samm:characteristic [ a samm:Characteristic ; samm:dataType :E ] .
               :Base a samm:AbstractEntity ; samm:properties ( :speed ) . :speed a samm:AbstractProperty .
               :E a samm:Entity ; samm:extends :Base ;
                   samm:properties ( [ samm:extends :speed ; samm:characteristic samm-c:Boolean ] ) .""",
        )
        known = schema["components"]["schemas"]
        assert known["Base"]["properties"] == {}
        assert known["E"]["properties"] == {"speed": {"type": "boolean"}}
        assert known["E"]["required"] == ["speed"]

    def test_property_that_extends_another_has_its_characteristic(self, tmp_path: Path) -> None:
        schema = schema_of(
            tmp_path,
            """:A a samm:Aspect ; samm:properties ( :own ) . :own a samm:Property ; samm:extends :base .
               :base a samm:AbstractProperty ; samm:characteristic samm-c:Boolean .""",
        )
        assert schema["properties"] == {"own": {"type": "boolean"}}

    def test_abstract_entity_as_type_accepts_what_fulfils_its_own_part(self, tmp_path: Path) -> None:
        body = ":A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property ;"
        body += " samm:characteristic [ a samm:Characteristic ; samm:dataType :E ] .\n"
        schema = schema_of(tmp_path, body + ENTITY.replace("samm:Entity", "samm:AbstractEntity"))
        assert accepts(schema, {"p": {"x": "a", "more": 1}})
        assert not accepts(schema, {"p": {"more": 1}})

    @pytest.mark.parametrize(
        ("entity", "good"),
        [
            ("TimeSeriesEntity", {"timestamp": "2026-01-01T00:00:00"}),
            ("Point3d", {}),
            ("FileResource", {"resource": "a", "mimeType": "b"}),
            ("Quantity", {"unit": "unit:metre"}),
        ],
    )
    def test_built_in_entities(self, tmp_path: Path, entity: str, good: dict[str, str]) -> None:
        body = ":A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property ;"
        schema = schema_of(
            tmp_path, f"{body} samm:characteristic [ a samm:Characteristic ; samm:dataType samm-e:{entity} ] ."
        )
        assert accepts(schema, {"p": good})
        assert all(not accepts(schema, {"p": {k: v for k, v in good.items() if k != name}}) for name in good)

    def test_entity_that_extends_a_built_in_one(self, tmp_path: Path) -> None:
        schema = schema_of(
            tmp_path,
            """:A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property ; samm:characteristic
                   [ a samm-c:TimeSeries ; samm:dataType :E ] .
               :E a samm:Entity ; samm:extends samm-e:TimeSeriesEntity ;
                   samm:properties ( [ samm:extends samm-e:value ; samm:characteristic samm-c:Boolean ] ) .""",
        )
        assert accepts(schema, {"p": [{"timestamp": "2026-01-01T00:00:00", "value": True}]})
        assert not accepts(schema, {"p": [{"value": True}]})

    def test_entities_of_one_name_in_two_namespaces_do_not_meet(self, tmp_path: Path) -> None:
        model(
            tmp_path,
            "other:E a samm:Entity ; samm:properties ( other:y ) .\n"
            "other:y a samm:Property ; samm:characteristic samm-c:Boolean .",
            namespace="org.example.other",
            version="2.0.0",
        )
        schema = schema_of(
            tmp_path,
            ":A a samm:Aspect ; samm:properties ( :p :q ) .\n"
            ":p a samm:Property ; samm:characteristic [ a samm:Characteristic ; samm:dataType :E ] .\n"
            ":q a samm:Property ; samm:characteristic [ a samm:Characteristic ; samm:dataType other:E ] .\n" + ENTITY,
        )
        assert sorted(schema["components"]["schemas"]) == ["E", "E0"]
        assert accepts(schema, {"p": {"x": "a"}, "q": {"y": True}})
        assert not accepts(schema, {"p": {"y": True}, "q": {"x": "a"}})


class TestCharacteristics:
    @pytest.mark.parametrize(
        ("name", "schema"),
        [
            ("Text", TEXT),
            ("Locale", TEXT),
            ("Language", TEXT),
            ("MimeType", TEXT),
            ("Boolean", {"type": "boolean"}),
            ("ResourcePath", {"type": "string", "format": "uri"}),
            ("Reference", {"type": "string", "format": "uri"}),
            ("UnitReference", {"type": "string", "pattern": "[a-zA-Z]*:[a-zA-Z]+"}),
            ("MultiLanguageText", {"type": "object"}),
        ],
    )
    def test_built_in(self, tmp_path: Path, name: str, schema: dict[str, str]) -> None:
        assert member(tmp_path, f"samm-c:{name}") == schema

    @pytest.mark.parametrize("kind", ["Code", "Quantifiable", "Measurement", "Duration", "StructuredValue"])
    def test_data_type_alone_counts(self, tmp_path: Path, kind: str) -> None:
        assert member(tmp_path, f"[ a samm-c:{kind} ; samm:dataType xsd:float ; samm-c:unit unit:metre ]") == {
            "type": "number"
        }

    @pytest.mark.parametrize("kind", ["Collection", "List"])
    def test_collections_are_arrays(self, tmp_path: Path, kind: str) -> None:
        assert member(tmp_path, f"[ a samm-c:{kind} ; samm:dataType :E ]", ENTITY) == {"type": "array", "items": REF}

    @pytest.mark.parametrize("kind", ["Set", "SortedSet", "TimeSeries"])
    def test_sets_have_no_entry_twice(self, tmp_path: Path, kind: str) -> None:
        expected = {"type": "array", "items": TEXT, "uniqueItems": True}
        assert member(tmp_path, f"[ a samm-c:{kind} ; samm:dataType xsd:string ]") == expected

    def test_element_characteristic_counts_before_the_data_type(self, tmp_path: Path) -> None:
        found = member(
            tmp_path, "[ a samm-c:List ; samm:dataType xsd:string ; samm-c:elementCharacteristic samm-c:Boolean ]"
        )
        assert found == {"type": "array", "items": {"type": "boolean"}}

    def test_enumeration_keeps_the_keywords_of_its_type(self, tmp_path: Path) -> None:
        found = member(
            tmp_path,
            '[ a samm-c:Enumeration ; samm:dataType samm:curie ; samm-c:values ( "unit:metre"^^samm:curie ) ]',
        )
        assert found == {"type": "string", "pattern": "[a-zA-Z]*:[a-zA-Z]+", "enum": ["unit:metre"]}

    @pytest.mark.parametrize(
        ("data_type", "values", "expected"),
        [
            ("xsd:integer", "1 2", [1, 2]),
            ("xsd:float", '"0.5"^^xsd:float "1"^^xsd:float', [0.5, 1]),
            ("xsd:boolean", "true false", [True, False]),
            ("xsd:string", ':one "two"', ["one", "two"]),
            ("xsd:string", '"same" "same"', ["same"]),
            ("xsd:dateTime", '"2026-01-01T00:00:00Z"^^xsd:dateTime', ["2026-01-01T00:00:00Z"]),
            ("rdf:langString", '"Haus"@de "house"@en', [{"de": "Haus"}, {"en": "house"}]),
        ],
    )
    @pytest.mark.parametrize("kind", ["Enumeration", "State"])
    def test_enumerated_values_have_the_json_type(
        self, tmp_path: Path, kind: str, data_type: str, values: str, expected: list[object]
    ) -> None:
        rest = ':one a samm:Value ; samm:value "one" .'
        body = f'[ a samm-c:{kind} ; samm:dataType {data_type} ; samm-c:defaultValue "x" ; samm-c:values ( {values} ) ]'
        assert member(tmp_path, body, rest)["enum"] == expected

    def test_either_has_one_side(self, tmp_path: Path) -> None:
        schema = schema_of(
            tmp_path,
            ":A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property ; samm:characteristic"
            " [ a samm-c:Either ; samm-c:left samm-c:Text ; samm-c:right samm-c:Boolean ] .",
        )
        verdicts = [
            accepts(schema, {"p": side})
            for side in ({"left": "a"}, {"right": True}, {"left": 1}, {}, {"left": "a", "right": True}, "a", {"up": 1})
        ]
        assert verdicts == [True, True, False, False, False, False, False]


class TestInstances:
    """Enumerations of Entity instances."""

    BODY = """
        :A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property ; samm:characteristic :Level .
        :Level a samm-c:Enumeration ; samm:dataType :E ; samm-c:values ( :low :high ) .
        :E a samm:Entity ; samm:properties ( [ samm:property :code ; samm:payloadName "id" ] :tags :more :limit
            [ samm:property :note ; samm:notInPayload true ] ) .
        :code a samm:Property ; samm:characteristic [ a samm:Characteristic ; samm:dataType xsd:int ] .
        :tags a samm:Property ; samm:characteristic [ a samm-c:List ; samm:dataType xsd:string ] .
        :more a samm:Property ; samm:characteristic [ a samm-c:SingleEntity ; samm:dataType :F ] .
        :limit a samm:Property ; samm:characteristic [ a samm:Characteristic ; samm:dataType :F ] .
        :note a samm:Property ; samm:characteristic samm-c:Text .
        :F a samm:Entity ; samm:properties ( :x ) . :x a samm:Property ; samm:characteristic samm-c:Text .
        :f a :F ; :x "deep" .
        :low a :E ; :code 1 ; :note "never sent" ; :tags ( "a" "b" ) .
        :high a :E ; :code 2 ; :more :f ; :limit :f .
    """

    @pytest.mark.parametrize(
        ("value", "good"),
        [
            ({"id": 1, "tags": ["a", "b"]}, True),
            ({"id": 1, "tags": ["b", "a"], "other": 0}, True),
            ({"id": 1, "tags": ["a"]}, False),
            ({"id": 1, "tags": ["a", "c"]}, False),
            ({"id": 1}, False),
            ({"id": 2, "more": {"x": "deep", "y": 0}, "limit": {"x": "deep"}}, True),
            ({"id": 2, "more": {"x": "flat"}, "limit": {"x": "deep"}}, False),
            ({"id": 2, "more": {"x": "deep"}, "limit": {"x": "deep", "y": 0}}, False),
            ({"id": 3}, False),
            ("low", False),
        ],
    )
    def test_payload_is_one_of_them(self, tmp_path: Path, value: object, *, good: bool) -> None:
        assert accepts(schema_of(tmp_path, self.BODY), {"p": value}) is good

    def test_instances_that_say_nothing_ask_for_nothing(self, tmp_path: Path) -> None:
        body = self.BODY + ":none a :E ."
        assert schema_of(tmp_path, body.replace("( :low :high )", "( :none )"))["properties"]["p"] == {"type": "object"}

    def test_value_that_contains_itself_is_refused(self, tmp_path: Path) -> None:
        body = self.BODY.replace(":f a :F ; :x", ":f a :F ; :more :f ; :x")
        with pytest.raises(Invalid, match=r"go in circles"):
            schema_of(tmp_path, body)


class TestConstraints:
    def trait(self, base: str, *constraints: str) -> str:
        said = " ".join(f"samm-c:constraint [ {constraint} ] ;" for constraint in constraints)
        return f"[ a samm-c:Trait ; {said} samm-c:baseCharacteristic {base} ]"

    def test_regular_expression_is_copied_as_it_is(self, tmp_path: Path) -> None:
        body = self.trait("samm-c:Text", r'a samm-c:RegularExpressionConstraint ; samm:value "a|\\d{2}$"')
        assert member(tmp_path, body) == {"type": "string", "pattern": r"a|\d{2}$"}

    @pytest.mark.parametrize(
        ("base", "what"), [("samm-c:Text", "Length"), ("[ a samm-c:Set ; samm:dataType xsd:string ]", "Items")]
    )
    def test_length_is_that_of_the_text_or_the_array(self, tmp_path: Path, base: str, what: str) -> None:
        found = member(tmp_path, self.trait(base, "a samm-c:LengthConstraint ; samm-c:minValue 1 ; samm-c:maxValue 5"))
        assert found[f"min{what}"] == 1
        assert found[f"max{what}"] == 5

    @pytest.mark.parametrize(
        ("bounds", "expected"),
        [
            ("samm-c:minValue 1", {"minimum": 1, "exclusiveMinimum": False}),
            (
                "samm-c:minValue 1 ; samm-c:lowerBoundDefinition samm-c:GREATER_THAN",
                {"minimum": 1, "exclusiveMinimum": True},
            ),
            (
                "samm-c:maxValue 2.5 ; samm-c:upperBoundDefinition samm-c:LESS_THAN",
                {"maximum": 2.5, "exclusiveMaximum": True},
            ),
            ("samm-c:upperBoundDefinition samm-c:LESS_THAN", {}),
            ("samm-c:minValue 1 ; samm-c:lowerBoundDefinition samm-c:OPEN", {"minimum": 1, "exclusiveMinimum": False}),
        ],
    )
    def test_range_of_numbers(self, tmp_path: Path, bounds: str, expected: dict[str, object]) -> None:
        body = self.trait(
            "[ a samm:Characteristic ; samm:dataType xsd:decimal ]", f"a samm-c:RangeConstraint ; {bounds}"
        )
        assert member(tmp_path, body) == {"type": "number", **expected}

    def test_range_takes_the_place_of_the_bound_of_the_type(self, tmp_path: Path) -> None:
        base = "[ a samm:Characteristic ; samm:dataType xsd:positiveInteger ]"
        found = member(tmp_path, self.trait(base, "a samm-c:RangeConstraint ; samm-c:minValue 0"))
        assert found == {"type": "number", "minimum": 0, "exclusiveMinimum": False}

    @pytest.mark.parametrize(
        ("name", "bound", "expected"),
        [
            ("xsd:float", "2147483647", 2147483600),  # a 32-bit float, written as short as it can be
            ("xsd:float", "0.1", 0.1),
            ("xsd:float", "16777217", 16777216),
            ("xsd:float", "1e39", 0),  # infinity in 32 bits, for which the official generator writes 0
            ("xsd:float", "3.4028235e38", 3.4028235e38),
            ("xsd:double", "2147483647", 2147483647),
            ("xsd:double", "INF", 0),
            ("xsd:decimal", "12345678901234567890", 12345678901234567890),
        ],
    )
    def test_bound_of_a_float_has_32_bits(self, tmp_path: Path, name: str, bound: str, expected: float) -> None:
        body = self.trait(
            f"[ a samm:Characteristic ; samm:dataType {name} ]",
            f'a samm-c:RangeConstraint ; samm-c:maxValue "{bound}"^^{name}',
        )
        assert member(tmp_path, body)["maximum"] == expected

    def test_range_of_dates_is_not_told(self, tmp_path: Path) -> None:
        base = "[ a samm:Characteristic ; samm:dataType xsd:date ]"
        body = self.trait(base, 'a samm-c:RangeConstraint ; samm-c:minValue "2026-01-01"^^xsd:date')
        assert member(tmp_path, body) == {"type": "string", "format": "date"}

    @pytest.mark.parametrize(
        "constraint",
        [
            "a samm-c:FixedPointConstraint ; samm-c:scale 2 ; samm-c:integer 3",
            "a samm-c:EncodingConstraint ; samm:value samm:US-ASCII",
            'a samm-c:LanguageConstraint ; samm-c:languageCode "de"',
            'a samm-c:LocaleConstraint ; samm-c:localeCode "de-DE"',
            "a samm:Constraint",
        ],
    )
    def test_others_have_no_effect(self, tmp_path: Path, constraint: str) -> None:
        assert member(tmp_path, self.trait("samm-c:Text", constraint)) == TEXT

    def test_of_two_of_one_kind_the_later_counts(self, tmp_path: Path) -> None:
        body = self.trait(
            "samm-c:Text",
            'a samm-c:RegularExpressionConstraint ; samm:value "a"',
            "a samm-c:LengthConstraint ; samm-c:minValue 1",
            'a samm-c:RegularExpressionConstraint ; samm:value "b"',
        )
        assert member(tmp_path, body) == {"type": "string", "pattern": "b", "minLength": 1}

    def test_trait_of_an_entity_still_is_that_entity(self, tmp_path: Path) -> None:
        base = "[ a samm:Characteristic ; samm:dataType :E ]"
        found = member(tmp_path, self.trait(base, "a samm-c:LengthConstraint ; samm-c:minValue 1"), ENTITY)
        assert found == {"type": "object", "allOf": [REF]}


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        *((f"xsd:{name}", TEXT) for name in ("string", "base64Binary", "gMonthDay", "nothingThatIsKnown")),
        *((f"xsd:{name}", {"type": "number"}) for name in ("decimal", "integer", "float", "double")),
        ("xsd:boolean", {"type": "boolean"}),
        ("xsd:byte", {"type": "number", "minimum": -128, "maximum": 127}),
        ("xsd:short", {"type": "number", "minimum": -32768, "maximum": 32767}),
        ("xsd:int", {"type": "number", "minimum": -2147483648, "maximum": 2147483647}),
        ("xsd:long", {"type": "number", "minimum": -9223372036854775808, "maximum": 9223372036854775807}),
        ("xsd:unsignedByte", {"type": "number", "minimum": 0, "maximum": 255}),
        ("xsd:unsignedShort", {"type": "number", "minimum": 0, "maximum": 65535}),
        ("xsd:unsignedInt", {"type": "number", "minimum": 0, "maximum": 4294967295}),
        ("xsd:unsignedLong", {"type": "number", "minimum": 0, "maximum": 18446744073709551615}),
        ("xsd:positiveInteger", {"type": "number", "minimum": 1}),
        ("xsd:nonNegativeInteger", {"type": "number", "minimum": 0}),
        ("xsd:negativeInteger", {"type": "number", "maximum": -1}),
        ("xsd:nonPositiveInteger", {"type": "number", "maximum": 0}),
        ("xsd:date", {"type": "string", "format": "date"}),
        ("xsd:time", {"type": "string", "format": "time"}),
        ("xsd:dateTimeStamp", {"type": "string", "format": "date-time"}),
        ("xsd:duration", {"type": "string", "format": "duration"}),
        ("xsd:anyURI", {"type": "string", "format": "uri"}),
        ("rdf:langString", {"type": "object"}),
    ],
)
def test_data_type(tmp_path: Path, name: str, schema: dict[str, object]) -> None:
    assert member(tmp_path, f"[ a samm:Characteristic ; samm:dataType {name} ]") == schema


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("xsd:dateTime", ["2026-02-30T24:00:00", "2026-01-01T00:00:00.5-14:00", "a 2026-01-01T00:00:00"], ["2026-01"]),
        ("xsd:gYear", ["2026", "-0044Z", "the year 2026"], ["26", "year"]),
        ("xsd:gMonth", ["--12"], ["-12", "--13"]),
        ("xsd:gDay", ["---31"], ["--31", "---32"]),
        ("xsd:gYearMonth", ["2026-12"], ["2026", "2026-13"]),
        ("xsd:yearMonthDuration", ["P1Y2M", "-P3M"], ["P1D", "P"]),
        ("xsd:dayTimeDuration", ["P1D", "PT1H"], ["P1Y", ""]),
        ("xsd:hexBinary", ["0aF", "xyz1"], ["", "xyz"]),
        ("samm:curie", ["unit:metre", ":a", "see unit:metre2"], ["metre", "unit:2"]),
    ],
)  # fmt: skip
def test_patterns_of_data_types_are_searched_in_the_text(
    tmp_path: Path, name: str, good: list[str], bad: list[str]
) -> None:
    schema = member(tmp_path, f"[ a samm:Characteristic ; samm:dataType {name} ]")
    assert [text for text in good if not accepts(schema, text)] == []
    assert [text for text in bad if accepts(schema, text)] == []


def test_operations_and_events_are_no_part_of_payloads(tmp_path: Path) -> None:
    schema = schema_of(
        tmp_path,
        """:A a samm:Aspect ; samm:properties () ; samm:operations ( :do ) ; samm:events ( :done ) .
           :do a samm:Operation ; samm:input ( :missing ) . :done a samm:Event ; samm:parameters ( :missing ) .""",
    )
    assert schema["properties"] == {}


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_bamm_is_read_as_samm(tmp_path: Path, version: str) -> None:
    folder = tmp_path / "org.example" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "A.ttl").write_text(f"""
        @prefix bamm: <urn:bamm:io.openmanufacturing:meta-model:{version}#> .
        @prefix bamm-c: <urn:bamm:io.openmanufacturing:characteristic:{version}#> .
        @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
        @prefix : <urn:bamm:org.example:1.0.0#> .
        :A a bamm:Aspect ; bamm:name "A" ; bamm:properties ( :p [ bamm:property :q ; bamm:optional true ] ) .
        :p a bamm:Property ; bamm:name "p" ; bamm:characteristic bamm-c:Boolean .
        :q a bamm:Property ; bamm:characteristic :C . :C a bamm-c:SingleEntity ; bamm:dataType :F .
        :E a bamm:Entity ; bamm:properties ( :p ) . :F a bamm:Entity ; bamm:refines :E ; bamm:properties () .
    """)
    for urn in (A, A.replace("samm", "bamm")):
        schema = aspect_schema(folder, urn)
        assert schema["properties"]["p"] == {"type": "boolean"}
        assert accepts(schema, {"p": True, "q": {"p": False}})
        assert not accepts(schema, {"p": True, "q": {}})
