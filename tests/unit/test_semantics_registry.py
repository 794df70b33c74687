"""Which schema stands for which semantic id."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connector.protocol.errors import Invalid
from connector.semantics import registry as module
from connector.semantics.registry import SchemaRegistry, bundled, compiled, data_folder
from tests.unit.samm_world import model

PASSPORT = "urn:samm:io.catenax.battery.battery_pass:6.1.0#BatteryPass"
FOOTPRINT = "urn:samm:io.catenax.pcf:7.0.0#Pcf"
A = "urn:samm:org.example:1.0.0#A"


def registry(folder: Path, index: object, **files: object) -> SchemaRegistry:
    (folder / "index.json").write_text(json.dumps(index))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return SchemaRegistry(folder)


def test_passport_and_footprint_schemas_are_delivered() -> None:
    assert {PASSPORT, FOOTPRINT} <= set(bundled().semantic_ids)
    assert list(bundled().semantic_ids) == sorted(bundled().semantic_ids)
    assert bundled() is bundled()


def test_every_delivered_schema_compiles_and_refuses_null() -> None:
    for semantic_id in bundled().semantic_ids:
        assert not bundled().validator(semantic_id).is_valid(None)


def test_delivered_schema_names_its_aspect_and_dialect() -> None:
    for semantic_id in bundled().semantic_ids:
        schema = bundled().schema(semantic_id)
        assert schema["$schema"] == "http://json-schema.org/draft-04/schema"
        assert schema["x-samm-aspect-model-urn"] == semantic_id


def test_unknown_semantic_id_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="urn:samm:none#X") as refusal:
        bundled().validator("urn:samm:none#X")
    assert PASSPORT in refusal.value.reason
    assert FOOTPRINT in refusal.value.reason
    with pytest.raises(Invalid, match="known are: none"):
        registry(tmp_path, {}).validator("urn:samm:none#X")


def test_schema_is_read_and_compiled_once_when_it_is_needed(tmp_path: Path) -> None:
    schemas = registry(tmp_path, {A: "a.json"})
    with pytest.raises(Invalid, match=r"a\.json cannot be read"):
        schemas.validator(A)
    (tmp_path / "a.json").write_text('{"type": "number"}')
    compiled = schemas.validator(A)
    (tmp_path / "a.json").unlink()
    assert schemas.validator(A) is compiled


def test_threads_share_one_compiled_schema() -> None:
    with ThreadPoolExecutor(4) as pool:
        compiled = list(pool.map(SchemaRegistry(data_folder("schemas")).validator, [PASSPORT] * 16))
    assert len({id(one) for one in compiled}) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"type": "nummber"}, "not usable"),
        ({"$ref": "https://schemas.example/a.json"}, "not usable"),
        ([], "JSON object"),
    ],
)
def test_file_that_is_no_schema_is_refused(tmp_path: Path, content: object, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        registry(tmp_path, {A: "a.json"}, a=content).validator(A)


def test_index_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    for name in ("../secret.json", "/etc/passwd", "sub/a.json", 7):
        with pytest.raises(Invalid, match="same folder"):
            registry(tmp_path, {A: name})


def test_folder_without_a_readable_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"index\.json cannot be read"):
        SchemaRegistry(tmp_path)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(Invalid, match=r"index\.json is not JSON"):
        SchemaRegistry(tmp_path)


def test_data_folder_is_inside_the_package_when_installed_and_beside_it_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "connector"
    (package / "_data").mkdir(parents=True)
    monkeypatch.setattr(module, "_PACKAGE", package)
    with pytest.raises(Invalid, match="'schemas' is missing"):
        data_folder("schemas")
    (tmp_path / "schemas").mkdir()
    assert data_folder("schemas") == tmp_path / "schemas"
    (package / "_data" / "schemas").mkdir()
    assert data_folder("schemas") == package / "_data" / "schemas"


class TestOwnModels:
    """A folder of models that the operator names."""

    BODY = ":A a samm:Aspect ; samm:properties ( :p ) . :p a samm:Property ; samm:characteristic samm-c:Boolean ."

    def test_they_come_before_the_files(self, tmp_path: Path) -> None:
        (tmp_path / "index.json").write_text(json.dumps({A: "a.json"}))
        (tmp_path / "a.json").write_text('{"type": "number"}')
        assert SchemaRegistry(tmp_path).validator(A).is_valid(1)
        model(tmp_path / "models", self.BODY)
        own = SchemaRegistry(tmp_path, models=tmp_path / "models", remembered=tmp_path / "remembered")
        assert own.validator(A).is_valid({"p": True})
        assert not own.validator(A).is_valid(1)
        assert len(list((tmp_path / "remembered").iterdir())) == 1

    def test_what_they_do_not_hold_is_taken_from_the_files(self, tmp_path: Path) -> None:
        own = SchemaRegistry(data_folder("schemas"), models=tmp_path)
        assert own.schema(PASSPORT) == bundled().schema(PASSPORT)

    def test_a_model_that_cannot_be_resolved_is_refused_and_not_replaced(self, tmp_path: Path) -> None:
        _, _, namespace, rest = FOOTPRINT.split(":")
        model(tmp_path, "", namespace=namespace, version=rest.partition("#")[0])
        with pytest.raises(Invalid, match="is not defined in the model"):
            SchemaRegistry(data_folder("schemas"), models=tmp_path).validator(FOOTPRINT)

    def test_an_id_cannot_lead_out_of_the_folder(self, tmp_path: Path) -> None:
        registry(tmp_path, {})
        (tmp_path / "models").mkdir()
        (tmp_path / "1.0.0").mkdir()
        own = SchemaRegistry(tmp_path, models=tmp_path / "models")
        for name in ("urn:samm:../..:1.0.0#A", "urn:samm:..:1.0.0#A", "urn:samm:.:1.0.0#A"):
            with pytest.raises(Invalid, match="no schema is known"):
                own.validator(name)

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match="does not exist"):
            SchemaRegistry(data_folder("schemas"), models=tmp_path / "gone")


def test_the_same_content_is_compiled_once_whatever_its_name() -> None:
    schema = {"type": "string", "maxLength": 77}
    assert compiled(schema, "one") is compiled(dict(schema), "two")
    assert compiled(schema, "one") is not compiled(schema, "one", formats=True)


def test_compiled_schemas_do_not_pile_up() -> None:
    first = compiled({"maxLength": 1_000_000}, "first")
    for number in range(module.MAX_COMPILED):
        compiled({"maxLength": number}, "another")
    assert compiled({"maxLength": 1_000_000}, "first") is not first


def test_formats_of_aspect_schemas_are_not_checked_unless_asked() -> None:
    schema = {"$schema": "http://json-schema.org/draft-04/schema", "type": "string", "format": "date"}
    assert compiled(schema, "it").is_valid("today")
    assert not compiled(schema, "it", formats=True).is_valid("today")
