"""The OpenAPI file and the routes say the same, method by method and path by path."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from openapi_spec_validator import validate

from connector.http.health import health_routes
from connector.http.management import management_routes

FILE = Path(__file__).parents[2] / "docs" / "openapi" / "management.yaml"
METHODS = frozenset({"get", "put", "post", "delete", "patch"})


@pytest.fixture(scope="module")
def specification() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return document


def operations(specification: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in specification["paths"].items():
        for method in METHODS & item.keys():
            yield method.upper(), path, item[method]


def references(doc: object) -> Iterator[str]:
    if isinstance(doc, dict):
        if isinstance(doc.get("$ref"), str):
            yield doc["$ref"]
        for value in doc.values():
            yield from references(value)
    elif isinstance(doc, list):
        for value in doc:
            yield from references(value)


def test_file_is_openapi_3_1(specification: dict[str, Any]) -> None:
    assert specification["openapi"].startswith("3.1")
    validate(specification)


def test_file_and_router_have_the_same_operations(specification: dict[str, Any]) -> None:
    app = web.Application()
    app.add_routes([*management_routes(), *health_routes("", ())])
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"  # HEAD follows GET
    }
    assert {(method, path) for method, path, _ in operations(specification)} == served


def test_every_path_parameter_is_declared(specification: dict[str, Any]) -> None:
    for path, item in specification["paths"].items():
        declared = [ref for ref in references(item.get("parameters", [])) if ref.endswith("/Id")]
        assert len(declared) == path.count("{id}"), path


def test_every_operation_has_a_name_a_summary_and_a_place(specification: dict[str, Any]) -> None:
    known = {tag["name"] for tag in specification["tags"]}
    names = [operation["operationId"] for _, _, operation in operations(specification)]
    assert len(names) == len(set(names))
    for _, path, operation in operations(specification):
        assert operation["summary"], path
        assert set(operation["tags"]) <= known, path


def test_what_creates_answers_200_and_never_201(specification: dict[str, Any]) -> None:
    for method, path, operation in operations(specification):
        good = {status for status in operation["responses"] if status.startswith("2")}
        assert good in ({"200"}, {"204"}), (method, path)


def test_every_component_is_used(specification: dict[str, Any]) -> None:
    used = set(references(specification))
    for kind, components in specification["components"].items():
        for name in components:
            assert kind == "securitySchemes" or f"#/components/{kind}/{name}" in used, name


def test_only_health_needs_no_key(specification: dict[str, Any]) -> None:
    assert specification["security"] == [{"apiKey": []}]
    for _, path, operation in operations(specification):
        assert ("security" in operation) is path.startswith("/check/"), path
