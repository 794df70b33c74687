"""Schemas that are remembered: the same answer as from the files, and a new one when any file has changed."""

import json
from pathlib import Path

import pytest

from connector.protocol.errors import Invalid
from connector.semantics.samm import schemas as module
from connector.semantics.samm.modes import STRICT
from connector.semantics.samm.schemas import aspect_schema
from tests.unit.samm_world import A, model

OTHER = "other:q a samm:Property ; samm:characteristic samm-c:Boolean ."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model(tmp_path, OTHER, namespace="org.example.other", version="2.0.0")
    return model(tmp_path, ":A a samm:Aspect ; samm:properties ( other:q ) .")


@pytest.fixture
def remembered(tmp_path: Path) -> Path:
    return tmp_path / "remembered" / "here"


def test_second_answer_is_the_first_and_reads_no_model(
    folder: Path, remembered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = aspect_schema(folder, A, remembered=remembered)
    monkeypatch.delattr(module, "Library")
    assert aspect_schema(folder, A, remembered=remembered) == first == json.loads(json.dumps(first))


def test_a_change_in_any_file_is_seen(folder: Path, remembered: Path, tmp_path: Path) -> None:
    aspect_schema(folder, A, remembered=remembered)
    model(tmp_path, OTHER.replace("Boolean", "Text"), namespace="org.example.other", version="2.0.0")
    assert aspect_schema(folder, A, remembered=remembered)["properties"] == {"q": {"type": "string"}}


def test_a_new_file_in_any_folder_is_seen(folder: Path, remembered: Path, tmp_path: Path) -> None:
    aspect_schema(folder, A, remembered=remembered)
    model(tmp_path, "this is no Turtle", namespace="org.example.other", version="2.0.0", name="New")
    with pytest.raises(Invalid, match="not Turtle"):
        aspect_schema(folder, A, remembered=remembered)


def test_rules_and_aspects_are_remembered_apart(folder: Path, remembered: Path) -> None:
    official = aspect_schema(folder, A, remembered=remembered)
    strict = aspect_schema(folder, A, rules=STRICT, remembered=remembered)
    assert official != strict
    assert aspect_schema(folder, A, remembered=remembered) == official
    assert len(list(remembered.iterdir())) == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": {}, "folders": {}, "schema": 1}', '{"files": 1'])
def test_an_entry_that_is_broken_is_made_anew(folder: Path, remembered: Path, content: str) -> None:
    first = aspect_schema(folder, A, remembered=remembered)
    (entry,) = remembered.iterdir()
    entry.write_text(content)
    assert aspect_schema(folder, A, remembered=remembered) == first
    assert json.loads(entry.read_text())["schema"] == first


def test_another_version_of_this_package_makes_its_own_schema(
    folder: Path, remembered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aspect_schema(folder, A, remembered=remembered)
    monkeypatch.setattr(module, "_own_digest", lambda: "another version")
    aspect_schema(folder, A, remembered=remembered)
    assert len(list(remembered.iterdir())) == 2


def test_a_folder_that_cannot_be_written_does_not_matter(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    assert aspect_schema(folder, A, remembered=tmp_path / "a file")["required"] == ["q"]
