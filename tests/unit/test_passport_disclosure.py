"""The class map over the real aspect, and the schema of what is left of it."""

import json
import re
from typing import Any

import pytest

from connector.passport.disclosure import COMMERCIAL, ClassMap, Group, assemble, class_map, schema_without
from connector.passport.views import read_classes, view_faults
from connector.protocol.errors import Invalid
from connector.semantics.registry import bundled, data_folder
from connector.semantics.validation import faults
from tests.unit.passport_world import passport

MAP = class_map()
SCHEMA = bundled().schema(MAP.aspect)
LONGLIST = {  # the rows of the attribute longlist 1.2 that are not public, as far as the aspect has them
    "/conformity/resultOfTestReport": "conformity",
    "/materials/composition": "restricted-model",
    "/safety/removalFromAppliance": "restricted-model",
    "/safety/dismantling": "restricted-model",
    "/handling/content/sparePart": "restricted-model",
    "/handling/content/producer": "restricted-model",
    "/safety/safetyMeasures": "restricted-model",
    "/operation/intoServiceDate": "individual",
    "/sustainability/status": "individual",
    "/performance/dynamic/capacity/capacity": "individual",
    "/performance/dynamic/capacity/fade": "individual",
    "/performance/dynamic/energy/remaining": "individual",
    "/performance/dynamic/energy/soce": "individual",
    "/performance/dynamic/stateOfCharge/value": "individual",
    "/performance/dynamic/power/remaining": "individual",
    "/performance/dynamic/power/fade": "individual",
    "/performance/dynamic/roundTripEfficiency": "individual",
    "/performance/dynamic/selfDischargingRate": "individual",
    "/performance/rated/selfDischargingRate": "individual",
    "/performance/dynamic/resistance/increase/pack": "individual",
    "/performance/rated/lifetime/expectedYears": "individual",
    "/performance/dynamic/fullCycles": "individual",
    "/performance/dynamic/energy/throughput": "individual",
    "/performance/dynamic/capacity/throughput": "individual",
    "/performance/dynamic/operatingEnvironment": "individual",
    "/performance/dynamic/negativeEvents": "individual",
}

PLACE = re.compile(r"Annex XIII [1-4]|Art\. 7[78]\([0-9]\)")
POINTS = {"public-model": "1", "restricted-model": "2", "conformity": "3", "individual": "4"}


def schema_leaves() -> list[str]:
    """Every place of the aspect's schema that has no members of its own."""
    found: list[str] = []

    def walk(node: Any, place: str) -> None:  # noqa: ANN401 - a schema
        if "$ref" in node:
            node = SCHEMA["components"]["schemas"][node["$ref"].rpartition("/")[2]]
        if "properties" not in node:
            found.append(place)
        for name, inner in node.get("properties", {}).items():
            walk(inner, f"{place}/{name}")

    walk(SCHEMA, "")
    return found


class TestTheMap:
    def test_every_place_of_the_aspect_has_exactly_one_class(self) -> None:
        assert len(schema_leaves()) > 150
        assert [place for place in schema_leaves() if MAP.class_of(place) is None] == []

    def test_every_field_of_the_map_is_a_place_of_the_aspect(self) -> None:
        leaves = schema_leaves()
        fields = [place for group in MAP.groups for place in group.fields]
        assert [f for f in fields if not any(leaf == f or leaf.startswith(f"{f}/") for leaf in leaves)] == []

    @pytest.mark.parametrize(("place", "disclosure_class"), LONGLIST.items())
    def test_what_the_longlist_withholds_is_not_public(self, place: str, disclosure_class: str) -> None:
        assert MAP.class_of(place) == disclosure_class

    def test_every_group_names_its_legal_place_and_what_has_none_is_opened_by_contracts_only(self) -> None:
        unplaced = {group.title for group in MAP.groups if group.basis.startswith("no legal place: ")}
        assert unplaced == {"commercial/market", "sources/sources"}
        for group in MAP.groups:
            if group.title in unplaced:
                assert group.disclosure_class.startswith(COMMERCIAL)
            else:
                assert PLACE.search(group.basis) or group.title == "sustainability/reports", group

    @pytest.mark.parametrize(("disclosure_class", "point"), POINTS.items())
    def test_a_class_holds_what_its_point_of_annex_xiii_lists(self, disclosure_class: str, point: str) -> None:
        """A group cites the point that its class stands for; if it cites others, it is in the narrower class."""
        for group in MAP.groups:
            cited = set(re.findall(r"Annex XIII ([1-4])", group.basis))
            if group.disclosure_class == disclosure_class and cited:
                assert cited == {point}, group

    def test_what_two_points_claim_is_shown_to_none_of_their_readers(self) -> None:
        for group in MAP.groups:
            if len(set(re.findall(r"Annex XIII ([1-4])| or ([1-4])", group.basis))) > 1:
                assert group.disclosure_class.startswith(COMMERCIAL), group

    def test_groups_stay_within_a_submodel_and_are_few(self) -> None:
        assert 25 <= len(MAP.groups) <= 50
        for group in MAP.groups:
            tops = {place.split("/")[1] for place in group.fields} - {"specVersion"}
            assert tops == {group.submodel}, group.title

    def test_whole_and_parts_have_their_classes(self) -> None:
        assert MAP.class_of("/materials/composition/3/concentration") == "restricted-model"
        assert MAP.class_of("/materials") is None
        assert MAP.class_of("") is None

    @pytest.mark.parametrize(
        ("groups", "reason"),
        [
            ([("a", "c", ["/x"]), ("a", "c", ["/y"])], "same submodel and name"),
            ([("a", "c", ["/x"]), ("b", "c", ["/x"])], "twice"),
            ([("a", "c", ["/x"]), ("b", "c", ["/x/y"])], "below another"),
            ([("a", "c", ["/x/y"]), ("b", "c", ["/x"])], "above another"),
            ([("a", "d", ["/x"])], "unknown class"),
            ([("a", "c", ["x"])], "JSON pointer"),
        ],
    )
    def test_a_map_that_contradicts_itself_is_refused(self, groups: list[Any], reason: str) -> None:
        made = tuple(Group(name, "s", cls, "", tuple(fields)) for name, cls, fields in groups)
        with pytest.raises(Invalid, match=reason):
            ClassMap("1", "urn:x", {"c": ""}, made)

    def test_a_file_that_lacks_something_is_refused(self) -> None:
        doc = json.loads((data_folder("policies") / "passport-classes.json").read_bytes())
        assert ClassMap.parse(doc) == MAP
        with pytest.raises(Invalid, match="edition"):
            ClassMap.parse({k: v for k, v in doc.items() if k != "edition"})


class TestCutting:
    def test_a_passport_comes_together_again(self) -> None:
        found = MAP.split(passport())
        assert found.unknown == ()
        assert assemble(found.fields) == passport()

    def test_what_the_map_does_not_know_is_told_and_never_projected(self) -> None:
        spoilt = passport() | {"extra": 1, "safety": 2}
        spoilt["materials"]["a/b"] = {"recipe": 1}
        assert set(MAP.split(spoilt).unknown) == {"/extra", "/safety", "/materials/a~1b"}
        shown = MAP.project(spoilt, MAP.classes)
        assert shown.keys() == passport().keys() - {"safety"}
        assert "a/b" not in shown["materials"]
        assert MAP.split([1]).unknown == ("",)

    def test_fields_that_collide_are_refused(self) -> None:
        for fields in ({"/a": 1, "/a/b": 2}, {"/a/b": 2, "/a": 1}):
            with pytest.raises(Invalid, match="another"):
                assemble(fields)


class TestTheSchemaOfAView:
    def test_withheld_fields_may_not_be_there_and_shown_ones_must(self) -> None:
        classes = frozenset({"public-model", "conformity"})
        view = MAP.project(passport(), classes)
        assert view_faults(MAP.aspect, view, classes, bundled()) == ()
        whole = {fault.pointer for fault in view_faults(MAP.aspect, passport(), classes, bundled())}
        assert "/performance/dynamic/stateOfCharge" in whole
        del view["conformity"]["resultOfTestReport"]
        assert [f.pointer for f in view_faults(MAP.aspect, view, classes, bundled())] == ["/conformity"]

    def test_with_all_classes_it_is_the_official_schema(self) -> None:
        assert schema_without(SCHEMA, MAP.withheld(MAP.classes))["required"] == SCHEMA["required"]
        assert view_faults(MAP.aspect, passport(), frozenset(MAP.classes), bundled()) == ()

    def test_a_member_that_the_model_does_not_know_makes_no_view_however_deep(self) -> None:
        """What stands inside a public field would be public, and nobody has said that it may."""
        open_ended = {
            "materials/active/nickel",
            "identification/identification/type",
            "safety/dismantling/0",
            "metadata",
        }
        for place in open_ended:
            view = MAP.project(passport(), MAP.classes)
            inner: Any = view
            for step in place.split("/"):
                inner = inner[int(step) if isinstance(inner, list) else step]
            inner["supplier"] = "secret"
            assert faults(MAP.aspect, view) == ()
            (fault,) = view_faults(MAP.aspect, view, frozenset(MAP.classes), bundled())
            assert (fault.pointer, fault.message) == (f"/{place}", "unknown member 'supplier'")

    def test_the_schema_that_others_use_is_not_touched(self) -> None:
        before = json.dumps(SCHEMA)
        schema_without(SCHEMA, MAP.withheld({"individual"}))
        assert json.dumps(SCHEMA) == before

    def test_an_aspect_without_a_map_has_no_views(self) -> None:
        with pytest.raises(Invalid, match="no map"):
            view_faults("urn:samm:io.catenax.pcf:7.0.0#Pcf", {}, frozenset(), bundled())

    def test_a_header_names_only_classes_that_exist(self) -> None:
        assert read_classes("public-model  nonsense individual") == {"public-model", "individual"}
