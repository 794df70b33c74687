"""Models in folders: what is found, what is refused, and that nothing hostile gets far."""

import socket
import urllib.request
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from connector.protocol.errors import Invalid
from connector.semantics.samm import library as module
from connector.semantics.samm import turtle
from connector.semantics.samm.library import Library
from connector.semantics.samm.reading import MAX_DEPTH, read_aspect
from connector.semantics.samm.schemas import aspect_schema
from tests.unit.samm_world import SAMM, A, accepts, model, schema_of

BOOLEAN = ":A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property ; samm:characteristic samm-c:Boolean ."
USES_OTHER = ":A a samm:Aspect ; samm:properties ( other:q ) ."
OTHER = "other:q a samm:Property ; samm:characteristic samm-c:Boolean ."


def other(root: Path, body: str = OTHER, name: str = "Other") -> Path:
    return model(root, body, namespace="org.example.other", version="2.0.0", name=name)


class TestFinding:
    def test_reference_is_followed_into_every_file_of_its_namespace(self, tmp_path: Path) -> None:
        other(tmp_path, "other:q a samm:Property ; samm:characteristic other:C .", "One")
        other(tmp_path, "other:C a samm:Characteristic ; samm:dataType xsd:int .", "Two")
        schema = schema_of(tmp_path, USES_OTHER)
        assert schema["properties"]["q"]["maximum"] == 2**31 - 1

    def test_the_named_file_is_read_wherever_it_is(self, tmp_path: Path) -> None:
        file = tmp_path / "somewhere" / "else" / "Mine.ttl"
        file.parent.mkdir(parents=True)
        file.write_text(SAMM + BOOLEAN)
        assert aspect_schema(file, A)["properties"] == {"p": {"type": "boolean"}}
        assert aspect_schema(file.parent, A)["properties"] == {"p": {"type": "boolean"}}

    def test_a_file_beside_the_named_one_is_read_when_it_is_needed(self, tmp_path: Path) -> None:
        folder = model(tmp_path, ":A a samm:Aspect ; samm:properties ( :p ) .")
        model(tmp_path, ":p a samm:Property ; samm:characteristic samm-c:Boolean .", name="Parts")
        library = Library(folder / "A.ttl")
        assert [file.name for file in library.digests] == ["A.ttl"]
        read_aspect(library, A)
        assert [file.name for file in library.digests] == ["A.ttl", "Parts.ttl"]

    def test_a_prefix_that_is_not_used_needs_no_folder(self, tmp_path: Path) -> None:
        library = Library(model(tmp_path, BOOLEAN))
        read_aspect(library, A)
        assert len(library.digests) == 1

    def test_the_models_own_root_comes_before_further_ones(self, tmp_path: Path) -> None:
        mine, theirs = tmp_path / "mine", tmp_path / "theirs"
        folder = model(mine, USES_OTHER)
        other(mine)
        other(theirs, OTHER.replace("Boolean", "Text"))
        assert aspect_schema(folder, A, roots=(theirs,))["properties"] == {"q": {"type": "boolean"}}

    def test_without_a_model_the_roots_are_searched(self, tmp_path: Path) -> None:
        model(tmp_path, BOOLEAN)
        assert aspect_schema(None, A, roots=(tmp_path,))["properties"] == {"p": {"type": "boolean"}}


class TestRefusals:
    """Every refusal names the element, and the file that speaks of it."""

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("", r"#A is not defined in the model.*Aspects that were read: none"),
            (":B a samm:Aspect ; samm:properties () .", r"#A is not defined.*Aspects that were read: urn.*#B"),
            (":A a samm:Entity ; samm:properties () .", r"#A in .*A\.ttl is not an Aspect"),
            (":A a samm:Aspect .", r"#A in .*A\.ttl has no samm:properties"),
            (USES_OTHER, r"#A in .*A\.ttl refers to what is not there: .*other:2\.0\.0#q is not defined"),
            (":A a samm:Aspect ; samm:properties ( :E ) . :E a samm:Entity .", r"#E .*listed by .*#A, but is not"),
            (':A a samm:Aspect ; samm:properties ( "p" ) .', r"#A .*lists the text 'p' as a Property"),
            (":A a samm:Aspect ; samm:properties ( [ samm:optional true ] ) .", r"#A .*without saying which"),
            (":A a samm:Aspect ; samm:properties ( [ samm:extends samm-e:x ] ) .", r"samm-e:x .*extended by .*without"),
        ],
    )  # fmt: skip
    def test_aspect(self, tmp_path: Path, body: str, reason: str) -> None:
        with pytest.raises(Invalid, match=reason):
            schema_of(tmp_path, body)

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            ("", r"#p in .*A\.ttl has no Characteristic"),
            ("; samm:extends :p", r"#p .*has no Characteristic"),
            ('; samm:characteristic "Text"', r"#p .*Characteristic.*is a text"),
            ("; samm:characteristic samm-c:Txet", r"#p .*refers to what is not there: samm-c:Txet"),
            ("; samm:characteristic :Missing", r"#p .*refers to what is not there: .*#Missing"),
            ("; samm:characteristic :E", r"#E .*is or has a Characteristic of no known kind"),
            ("; samm:characteristic [ a samm:Characteristic ]", r"#p .*has a Characteristic without data type"),
            ("; samm:characteristic :C . :C a samm-c:List", r"#C .*has no data type"),
            ("; samm:characteristic :C . :C a samm-c:Enumeration ; samm:dataType xsd:int", r"#C .*enumeration without"),
            ("; samm:characteristic :C . :C a samm-c:SingleEntity ; samm:dataType xsd:int", r"#C .*SingleEntity of"),
            ("; samm:characteristic :C . :C a samm:Characteristic ; samm:dataType :p", r"#p .*used as an Entity by"),
            ("; samm:characteristic :C . :C a samm:Characteristic ; samm:dataType :Gone", r"#C .*not there: .*#Gone"),
            ("; samm:characteristic :C . :C a samm-c:Either ; samm-c:left samm-c:Text", r"#C .*has no samm-c:right"),
            ("; samm:characteristic :C . :C a samm-c:Trait ; samm-c:baseCharacteristic samm-c:Text", r"#C .*without"),
            ("; samm:characteristic :C . :C a samm-c:Trait ; samm-c:constraint [ a samm:Constraint ]", r"#C .*has no"),
            ("; samm:characteristic samm-c:Text, samm-c:Boolean", r"#p .*has 2 different values of samm:charact"),
        ],
    )  # fmt: skip
    def test_characteristic(self, tmp_path: Path, said: str, reason: str) -> None:
        body = f":A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property {said} . :E a samm:Entity ."
        with pytest.raises(Invalid, match=reason):
            schema_of(tmp_path, body)

    @pytest.mark.parametrize(
        ("constraint", "reason"),
        [
            ("a samm-c:Nothing", "no known kind of Constraint"),
            ("a samm-c:LengthConstraint ; samm-c:minValue -1", "samm-c:minValue that is not a whole number"),
            ('a samm-c:LengthConstraint ; samm-c:maxValue "many"', "samm-c:maxValue that is not a whole number"),
            ("a samm-c:RegularExpressionConstraint", "has no samm:value"),
            ("a samm-c:FixedPointConstraint ; samm-c:scale 2", "without samm-c:scale or samm-c:integer"),
            ("a samm-c:RangeConstraint ; samm-c:minValue :p", "has a bound that is not a value"),
            (
                "a samm-c:RangeConstraint ; samm-c:lowerBoundDefinition samm-c:ABOUT",
                "bound definition that nobody knows",
            ),
            ('a samm-c:RangeConstraint ; samm-c:minValue "much"', "#p: 'much' in the model is no value of xsd:int"),
            ('a samm-c:RangeConstraint ; samm-c:minValue "1e999999999"', "larger than any number"),
        ],
    )
    def test_constraint(self, tmp_path: Path, constraint: str, reason: str) -> None:
        body = f"""{BOOLEAN.replace("samm-c:Boolean", ":T")} :T a samm-c:Trait ; samm-c:constraint [ {constraint} ] ;
            samm-c:baseCharacteristic [ a samm:Characteristic ; samm:dataType xsd:int ] ."""
        with pytest.raises(Invalid, match=reason):
            schema_of(tmp_path, body)

    @pytest.mark.parametrize(
        ("characteristic", "reason"),
        [
            ("[ a samm-c:Either ; samm-c:left samm-c:Text ]", "has no samm-c:right"),
            ("[ a samm-c:Trait ; samm-c:constraint [ a samm:Constraint ] ]", "has no samm-c:baseCharacteristic"),
            ("[ a samm-c:Trait ; samm-c:baseCharacteristic samm-c:Text ]", "is a Trait without samm-c:constraint"),
            ("[ a samm-c:Enumeration ; samm:dataType xsd:int ]", "is an enumeration without values"),
            ("[ a samm-c:Enumeration ; samm:dataType xsd:int ; samm-c:values 1 ]", "has a list that is broken"),
            ("[ a samm-c:Enumeration ; samm:dataType xsd:int ; samm-c:values ( [ a samm:Value ] ) ]", "samm:Value"),
            ("[ a samm-c:Enumeration ; samm:dataType :E ; samm-c:values ( [ a :p ] ) ]", "an Entity by .*#p, but"),
            ("[ a samm-c:SingleEntity ; samm:dataType xsd:int ]", "is a SingleEntity of xsd:int"),
            ("[ a samm:Characteristic ; samm:dataType xsd:int, xsd:long ]", "has 2 different values of samm:dataType"),
            ("[ a samm:Characteristic ; samm:dataType [ a samm:Entity ] ]", "data type"),
            ("[ a samm:Nothing ]", "of no known kind"),
            ("[]", "is empty"),
            (
                "[ a samm-c:Trait ; samm-c:baseCharacteristic samm-c:Text ; samm-c:constraint [ a samm-c:Nothing ] ]",
                "is of no known kind of Constraint",
            ),
            (
                "[ a samm-c:Trait ; samm-c:baseCharacteristic samm-c:Text ; samm-c:constraint 'text' ]",
                "has a text as constraint",
            ),
        ],
    )  # fmt: skip
    def test_what_has_no_name_is_told_by_the_property_that_holds_it(
        self, tmp_path: Path, characteristic: str, reason: str
    ) -> None:
        body = BOOLEAN.replace("samm-c:Boolean", characteristic) + " :E a samm:Entity ; samm:properties () ."
        with pytest.raises(Invalid, match=rf"#p .*{reason}") as refusal:
            schema_of(tmp_path, body)
        assert "_:" not in refusal.value.reason

    def test_element_that_two_files_define(self, tmp_path: Path) -> None:
        model(tmp_path, BOOLEAN, name="B")
        with pytest.raises(Invalid, match=r"#A is defined in .*A\.ttl and in .*B\.ttl"):
            schema_of(tmp_path, BOOLEAN)

    def test_folder_without_turtle_and_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match=r"holds no \.ttl file"):
            Library(tmp_path)
        with pytest.raises(Invalid, match=r"gone\.ttl cannot be read"):
            Library(tmp_path / "gone.ttl")


class TestCircles:
    @pytest.mark.parametrize(
        "body",
        [
            ":T a samm-c:Trait ; samm-c:baseCharacteristic :T ; samm-c:constraint [ a samm:Constraint ] .",
            ":T a samm-c:List ; samm-c:elementCharacteristic :U . :U a samm-c:Set ; samm-c:elementCharacteristic :T .",
        ],
    )
    def test_characteristics(self, tmp_path: Path, body: str) -> None:
        with pytest.raises(Invalid, match=r"#p .*goes in circles"):
            schema_of(tmp_path, BOOLEAN.replace("samm-c:Boolean", ":T") + body)

    @pytest.mark.parametrize(
        "body",
        [
            ":E a samm:Entity ; samm:extends :E ; samm:properties () .",
            ":E a samm:Entity ; samm:extends :F ; samm:properties () . :F a samm:Entity ; samm:extends :E .",
        ],
    )
    def test_entities_that_extend_themselves(self, tmp_path: Path, body: str) -> None:
        start = BOOLEAN.replace("samm-c:Boolean", "[ a samm:Characteristic ; samm:dataType :E ]")
        with pytest.raises(Invalid, match="extends itself"):
            schema_of(tmp_path, start + body)

    def test_list_without_end(self, tmp_path: Path) -> None:
        body = ":A a samm:Aspect ; samm:properties _:l . _:l rdf:first :p ; rdf:rest _:l ."
        with pytest.raises(Invalid, match=r"#A .*list that is broken or endless"):
            schema_of(tmp_path, body + BOOLEAN.partition(".")[2])

    def test_namespaces_that_need_one_another(self, tmp_path: Path) -> None:
        other(tmp_path, OTHER.replace("samm-c:Boolean", ":C"))
        schema = schema_of(tmp_path, USES_OTHER + ":C a samm:Characteristic ; samm:dataType xsd:boolean .")
        assert schema["properties"] == {"q": {"type": "boolean"}}


class TestHostility:
    def test_no_address_is_ever_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("somebody wants to reach the network")

        monkeypatch.setattr(socket, "create_connection", refuse)
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(urllib.request, "urlopen", refuse)
        body = f"""@base <http://evil.example/> . @prefix evil: <http://evil.example/model#> .
            <http://evil.example/> <http://www.w3.org/2002/07/owl#imports> <http://evil.example/more.ttl> .
            {BOOLEAN} :p samm:see <http://evil.example/see> ; samm:preferredName
            "<a>&xxe;</a>"^^rdf:XMLLiteral , "<p>"^^rdf:HTML ."""
        assert schema_of(tmp_path, body)["properties"] == {"p": {"type": "boolean"}}

    def test_a_name_cannot_lead_out_of_the_root(self, tmp_path: Path) -> None:
        for folder in (tmp_path / "1.0.0", tmp_path / "x" / "1.0.0"):
            folder.mkdir(parents=True)
            (folder / "Secret.ttl").write_text("this is no Turtle")
        for name in ("urn:samm:..:1.0.0#A", "urn:samm:../..:1.0.0#A", "urn:samm:a/../../b:1.0.0#A", "/etc/passwd#A"):
            with pytest.raises(Invalid, match="is not defined"):
                aspect_schema(None, name, roots=(tmp_path / "x" / "y",))

    @pytest.mark.parametrize("opening", ["[ samm:p ", "( "])
    def test_deep_nesting_is_refused(self, tmp_path: Path, opening: str) -> None:
        with pytest.raises(Invalid, match=r"A\.ttl is nested too deeply"):
            schema_of(tmp_path, ":A samm:p " + opening * 50_000)

    def test_deep_characteristics_are_refused(self, tmp_path: Path) -> None:
        chain = "".join(f":C{i} a samm-c:List ; samm-c:elementCharacteristic :C{i + 1} .\n" for i in range(2000))
        with pytest.raises(Invalid, match="nested too deeply"):
            schema_of(tmp_path, BOOLEAN.replace("samm-c:Boolean", ":C0") + chain)
        assert MAX_DEPTH < 100

    def test_characteristics_that_double_at_every_step_are_refused(self, tmp_path: Path) -> None:
        steps = "".join(
            f":C{i} a samm-c:Either ; samm-c:left :C{i + 1} ; samm-c:right :C{i + 1} .\n" for i in range(30)
        )
        last = ":C30 a samm:Characteristic ; samm:dataType xsd:int ."
        with pytest.raises(Invalid, match="#p: the schema would have more than 100000 parts"):
            schema_of(tmp_path, BOOLEAN.replace("samm-c:Boolean", ":C0") + steps + last)

    def test_values_that_double_at_every_step_are_refused(self, tmp_path: Path) -> None:
        steps = "".join(f":i{i} a :E ; :e ( :i{i + 1} :i{i + 1} ) .\n" for i in range(30))
        rest = """:L a samm-c:Enumeration ; samm:dataType :E ; samm-c:values ( :i0 ) . :i30 a :E .
            :E a samm:Entity ; samm:properties ( :e ) . :e a samm:Property ; samm:characteristic
                [ a samm-c:List ; samm:dataType :E ] .\n"""
        with pytest.raises(Invalid, match="too many"):
            schema_of(tmp_path, BOOLEAN.replace("samm-c:Boolean", ":L") + rest + steps)

    def test_characteristics_that_get_deep_by_and_by_are_refused(self, tmp_path: Path) -> None:
        size, step = 3000, 20
        names = " ".join(f":p{i}" for i in range(0, size, step))
        body = f":A a samm:Aspect ; samm:properties ( {names} ) .\n"
        body += "".join(f":p{i} a samm:Property ; samm:characteristic :C{i + step} .\n" for i in range(0, size, step))
        body += "".join(f":C{i + 1} a samm-c:List ; samm-c:elementCharacteristic :C{i} .\n" for i in range(size))
        with pytest.raises(Invalid, match="nested too deeply"):
            schema_of(tmp_path, body + ":C0 a samm:Characteristic ; samm:dataType xsd:int .")

    def test_deep_entities_are_read(self, tmp_path: Path) -> None:
        chain = "".join(
            f":E{i} a samm:Entity ; samm:properties ( :e{i} ) . :e{i} a samm:Property ; samm:characteristic"
            f" [ a samm:Characteristic ; samm:dataType :E{i + 1} ] .\n"
            for i in range(1000)
        )
        start = BOOLEAN.replace("samm-c:Boolean", "[ a samm:Characteristic ; samm:dataType :E0 ]")
        schema = schema_of(tmp_path, start + chain + ":E1000 a samm:Entity ; samm:properties () .")
        assert len(schema["components"]["schemas"]) == 1001
        assert not accepts(schema, {"p": {}})

    def test_long_files_many_files_and_many_bytes_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = model(tmp_path, BOOLEAN)
        monkeypatch.setattr(turtle, "MAX_FILE_BYTES", 100)
        with pytest.raises(Invalid, match=r"A\.ttl is longer than 100 bytes"):
            Library(folder)
        monkeypatch.undo()
        monkeypatch.setattr(module, "MAX_BYTES", 100)
        with pytest.raises(Invalid, match="needs more than"):
            Library(folder)
        monkeypatch.undo()
        monkeypatch.setattr(module, "MAX_FILES", 1)
        model(tmp_path, "", name="B")
        with pytest.raises(Invalid, match="needs more than"):
            Library(folder)

    def test_long_lists_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_ENTRIES", 2)
        with pytest.raises(Invalid, match="broken or endless"):
            schema_of(tmp_path, ":A a samm:Aspect ; samm:properties ( :p :q :r ) .")

    @pytest.mark.parametrize(
        "text",
        [
            "@prefix : <urn:x:> . :a :b",
            ':a :b "',
            "<a:b> <a:c> " + "9" * 5000 + " .",
            "{ <a:b> <a:c> <a:d> } .",
            "\x00",
        ],
    )
    def test_what_is_not_turtle_is_refused_with_file_and_line(self, text: str) -> None:
        with pytest.raises(Invalid, match=r"model\.ttl is not Turtle \(line \d+\)"):
            turtle.parse(text, "model.ttl")

    @pytest.mark.parametrize(
        "text",
        ['"' + "\\" + '"' + "\\n" * 40_000, '"""' + "a\n" * 40_000 + '"""', "'" + "\\'" * 40_000, '"' + "a" * 70_000],
    )
    def test_long_texts_are_refused_before_rdflib_reads_them(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(turtle, "_parsed")
        with pytest.raises(Invalid, match=r"model\.ttl has a text longer than 65536 characters"):
            turtle.parse(f"<a:b> <a:c> {text} .", "model.ttl")

    def test_the_line_is_that_of_the_mistake(self) -> None:
        with pytest.raises(Invalid, match=r"line 3\b"):
            turtle.parse("<a:b> <a:c> <a:d> .\n<a:b> <a:c> <a:d> .\n<a:b> nonsense <a:d> .\n", "model.ttl")


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_unicode_in_every_dress(self, tmp_path: Path, encoding: str) -> None:
        folder = model(tmp_path, "")
        (folder / "A.ttl").write_bytes((SAMM + BOOLEAN + "# ü").encode(encoding))
        assert aspect_schema(folder, A)["properties"]

    def test_latin_1_is_read_with_a_warning(self, tmp_path: Path) -> None:
        folder = model(tmp_path, "")
        (folder / "A.ttl").write_bytes(("# Grüße\n" + SAMM + BOOLEAN).encode("latin-1"))
        with capture_logs() as logs:
            assert aspect_schema(folder, A)["properties"]
        assert [(entry["log_level"], entry["file"]) for entry in logs] == [("warning", str(folder / "A.ttl"))]

    def test_white_space_before_a_type_is_borne_and_texts_stay_what_they_are(self) -> None:
        said = turtle.parse(
            '<a:s> <a:p> "1"  ^^ <http://www.w3.org/2001/XMLSchema#int> , "a \\" ^^b" , \'c" ^^d\' . # "e" ^^f\n', "a"
        )
        assert said["<a:s>".strip("<>")]["a:p"] == [
            turtle.Literal("1", "xsd:int"),
            turtle.Literal('a " ^^b'),
            turtle.Literal('c" ^^d'),
        ]

    def test_literals_are_not_interpreted(self) -> None:
        said = turtle.parse('<a:s> <a:p> "01"^^<http://www.w3.org/2001/XMLSchema#int> , 1.50 , true , "a"@de-DE .', "a")
        assert said["a:s"]["a:p"] == [
            turtle.Literal("01", "xsd:int"),
            turtle.Literal("1.50", "xsd:decimal"),
            turtle.Literal("true", "xsd:boolean"),
            turtle.Literal("a", "", "de-DE"),
        ]
