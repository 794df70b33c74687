"""Which schema stands for which semantic id."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connector.protocol.errors import Invalid
from connector.semantics import registry as module
from connector.semantics.registry import SchemaRegistry, bundled, data_folder

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
