"""What catalogs say of the data in them is remembered for a while."""

from typing import Any

import pytest

from connector.exchange import offered_models
from connector.exchange.offered_models import NOBODY_SAYS, OfferedModels

PCF = "urn:samm:io.catenax.pcf:9.0.0#Pcf"
IRI = "https://admin-shell.io/aas/3/0/HasSemantics/semanticId"
MINUTE = 60_000


def dataset(ident: str = "a", **members: Any) -> dict[str, Any]:
    return {"@id": ident, "@type": "Dataset", **members}


@pytest.mark.parametrize("key", [IRI, "aas-semantics:semanticId", "semanticId"])
@pytest.mark.parametrize("value", [PCF, {"@id": PCF}, [{"@id": PCF}, {"@id": "urn:other"}], {"@value": PCF}])
def test_a_dataset_names_its_model_in_any_spelling(key: str, value: Any) -> None:  # noqa: ANN401 - any JSON
    models = OfferedModels()
    models.read("p", dataset(**{key: value}), 0)
    assert models.told("p", "a", 0) == PCF


def test_a_catalog_is_read_dataset_by_dataset() -> None:
    models = OfferedModels()
    for member in ("dataset", "dcat:dataset"):
        models.read("p", {"@id": "catalog", member: [dataset("a", semanticId=PCF), dataset("b")]}, 0)
    models.read("p", {"@id": "catalog", "dataset": dataset("c", semanticId=PCF)}, 0)
    assert [models.told("p", ident, 0) for ident in "abcd"] == [PCF, NOBODY_SAYS, PCF, None]
    assert models.told("q", "a", 0) is None
    assert models.told("p", "catalog", 0) is None


@pytest.mark.parametrize("rows", [None, 1, "x", [None], [[]], [{"@id": 1}], [{"@id": "x" * 3000}]])
def test_what_has_another_form_is_passed_over(rows: Any) -> None:  # noqa: ANN401 - any JSON
    models = OfferedModels()
    models.read("p", {"@id": "catalog", "dataset": rows}, 0)
    assert models.told("p", "catalog", 0) is None


@pytest.mark.parametrize("value", [None, 1, "", [], {}, [1], "x" * 3000])
def test_a_model_without_a_name_is_none(value: Any) -> None:  # noqa: ANN401 - any JSON
    models = OfferedModels()
    models.read("p", dataset(semanticId=value), 0)
    assert models.told("p", "a", 0) == NOBODY_SAYS


def test_the_latest_word_counts_and_not_for_ever() -> None:
    models = OfferedModels()
    models.read("p", dataset(), 0)
    models.read("p", dataset(semanticId=PCF), MINUTE)
    assert models.told("p", "a", 16 * MINUTE - 1) == PCF
    assert models.told("p", "a", 16 * MINUTE) is None


def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offered_models, "_ROOM", 2)
    models = OfferedModels()
    for ident in ("a", "b", "a", "c"):
        models.read("p", dataset(ident, semanticId=PCF), 0)
    assert [models.told("p", ident, 0) for ident in "abc"] == [PCF, None, PCF]
