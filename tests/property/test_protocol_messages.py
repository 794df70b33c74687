"""Whatever we write we can read, and whatever strangers write, they hear PeerError with the right place or nothing."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.protocol.catalog import parse_links, read_catalog, read_dataset, root_dataset_json
from connector.protocol.did_services import find_dsp_endpoints
from connector.protocol.errors import PeerError
from connector.protocol.reading import at
from connector.protocol.versions import parse_versions, versions_json
from tests.property.protocol_documents import (
    MESSAGES,
    UNHURRIED,
    catalogs,
    datasets,
    json_values,
    version_documents,
    versions,
)

ABSENT = object()
READERS: dict[str, tuple[Callable[[Any], object], st.SearchStrategy[dict[str, Any]]]] = {
    **{kind.__name__: (kind.parse, known.map(lambda m: m.to_json())) for kind, known in MESSAGES.items()},
    "read_catalog": (read_catalog, catalogs),
    "read_dataset": (read_dataset, datasets.map(root_dataset_json)),
    "parse_versions": (parse_versions, version_documents),
}


def places(doc: object, pointer: str = "") -> Iterator[tuple[str, list[str | int]]]:
    """Every member and item of a document: its pointer and the path to it."""
    found: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(doc, dict):
        found = iter(doc.items())
    elif isinstance(doc, list):
        found = iter(enumerate(doc))
    for key, value in found:
        yield at(pointer, key), [key]
        for below, path in places(value, at(pointer, key)):
            yield below, [key, *path]


def put(doc: dict[str, Any], path: list[str | int], value: object) -> dict[str, Any]:
    """A copy of `doc` with another value (or none, for ABSENT) at `path`."""
    changed = deepcopy(doc)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    if value is ABSENT:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@UNHURRIED
@given(data=st.data())
def test_what_is_written_is_read_back(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(MESSAGES[kind])
    assert kind.parse(json.loads(json.dumps(message.to_json()))) == message


@pytest.mark.parametrize("name", READERS)
@UNHURRIED
@given(data=st.data())
def test_any_json_is_read_or_refused_as_the_peers_fault(name: str, data: st.DataObject) -> None:
    read, _ = READERS[name]
    fault = fault_of(read, data.draw(json_values))
    assert fault is None or fault.status == 400


@pytest.mark.parametrize("name", READERS)
@UNHURRIED
@given(data=st.data())
def test_a_fault_is_reported_at_its_place(name: str, data: st.DataObject) -> None:
    read, known = READERS[name]
    doc = data.draw(known)
    pointer, path = data.draw(st.sampled_from(list(places(doc))))
    fault = fault_of(read, put(doc, path, data.draw(json_values | st.just(ABSENT))))
    if fault is not None and pointer not in ("/callbackAddress", "/providerPid", "/consumerPid"):  # one of them is due
        assert fault.pointer.startswith(pointer) or pointer.startswith(fault.pointer)


def fault_of(read: Callable[[Any], object], doc: object) -> PeerError | None:
    try:
        read(doc)
    except PeerError as error:
        return error
    return None


@UNHURRIED
@given(st.lists(versions, min_size=1, max_size=3))
def test_a_version_document_is_read_back(entries: list[Any]) -> None:
    assert parse_versions(versions_json(entries)) == tuple(entries)


@UNHURRIED
@given(datasets)
def test_a_dataset_is_read_back(dataset: dict[str, Any]) -> None:
    view = read_dataset(root_dataset_json(dataset))
    assert view.id == dataset["@id"]
    assert list(view.offers) == dataset["hasPolicy"]
    assert view.endpoint_url == dataset["distribution"][0]["accessService"]["endpointURL"]
    assert not any("target" in offer for offer in view.offers)


@UNHURRIED
@given(json_values)
def test_a_did_document_never_raises(doc: object) -> None:
    for field in ({}, {"service": doc}, {"service": {"type": "DataService", "serviceEndpoint": doc}}):
        assert all(url.startswith("http") for url in find_dsp_endpoints(field))
    find_dsp_endpoints(doc)


@UNHURRIED
@given(st.lists(st.text("<>;,=\"' relnxtpv/:", max_size=60)))
def test_link_headers_never_raise(values: list[str]) -> None:
    assert all(relation == relation.lower() for relation in parse_links(values))
