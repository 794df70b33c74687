"""The OpenAPI files and the routes say the same, surface by surface, method by method, path by path."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, Self, cast

import pytest
import yaml
from aiohttp import web
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from connector.authority.dcp import Counter
from connector.authority.dcp import dcp_routes as authority_routes
from connector.authority.discovery import ConnectorsOf, discovery_routes
from connector.authority.issuing import Office
from connector.authority.keys import Keys
from connector.authority.kinds import KINDS, Terms, supported
from connector.authority.operating import management_app
from connector.authority.settings import MANAGEMENT_PATH as AUTHORITY_MANAGEMENT_PATH
from connector.config import DATA_PATH, DCP_PATH, DSP_PATH, STS_PATH
from connector.dataplane.http_address import METHODS
from connector.dataplane.plane import EmbeddedDataPlane
from connector.exchange.node import Node
from connector.http.dcp import CredentialService, dcp_routes
from connector.http.did import did_routes
from connector.http.dsp import dsp_application
from connector.http.health import health_routes
from connector.http.management import management_routes
from connector.http.metrics import metrics_routes
from connector.http.passport_page import PassportPages
from connector.http.public import public_routes
from connector.http.sts import TokenService, sts_routes
from connector.http.twins import TWINS_PATH, twins_app
from connector.identity.credentials import Profile
from connector.identity.did import parse_did_document
from connector.identity.keys import SigningKey
from connector.protocol import catalog, negotiation_messages, transfer_messages
from connector.protocol.did_services import find_dsp_endpoints
from connector.protocol.versions import parse_versions, versions_json

FOLDER = Path(__file__).parents[2] / "docs" / "openapi"
JSON = "application/json"
Specification = dict[str, Any]


def management() -> web.Application:
    app = web.Application()
    app.add_routes([*management_routes(), *health_routes("", ()), *metrics_routes("", bytes)])
    return app


def dsp() -> web.Application:
    app = web.Application()
    app.add_routes(did_routes("/.well-known/did.json", {}))
    app.add_routes(PassportPages(cast("Node", None), "").routes())
    app.add_subapp(DSP_PATH, dsp_application(cast("Node", None), lambda _, __: None))  # routes need no node
    return app


def data_plane() -> web.Application:
    app = web.Application()
    app.add_routes(public_routes(cast("EmbeddedDataPlane", None), DATA_PATH))  # nor a data plane
    return app


def twins() -> web.Application:
    app = web.Application()
    app.add_subapp(TWINS_PATH, twins_app(cast("Node", None), "key"))  # nor a node, again
    return app


def dcp() -> web.Application:
    app = web.Application()
    wallet, tokens = web.Application(), web.Application()
    wallet.add_routes(dcp_routes(cast("CredentialService", None)))
    tokens.add_routes(sts_routes(cast("TokenService", None), "id", "secret", lifetime_s=60))
    app.add_subapp(DCP_PATH, wallet)
    app.add_subapp(STS_PATH, tokens)
    return app


def authority() -> web.Application:
    office = Office(
        keys=Keys(SigningKey.generate("did:web:authority.example")),
        supported=supported(tuple(KINDS), (Profile.VC11.value, Profile.VC20.value)),
        terms=cast("Terms", None),
        validity=1,
        issuer_url="https://authority.example/issuer",
        status_url=str,
    )
    app = web.Application()
    app.add_routes(did_routes("/.well-known/did.json", {}))
    counter = cast("Counter", SimpleNamespace(office=office))
    services = discovery_routes(counter, "https://authority.example", cast("ConnectorsOf", None))
    app.add_routes([*authority_routes(counter), *services])
    return app


def register() -> web.Application:
    return management_app(
        cast("Counter", None), api_key="a key", base_path=AUTHORITY_MANAGEMENT_PATH, invitation_days=1
    )


@dataclass(frozen=True)
class Surface:
    """A file and its application. `open_to_all`: paths without any proof of who asks."""

    name: str
    application: Callable[[], web.Application]
    security: str
    open_to_all: str = r"(?!)"

    def read(self) -> Specification:
        return dict(yaml.safe_load((FOLDER / f"{self.name}.yaml").read_text(encoding="utf-8")))


SURFACES = (
    Surface("management", management, "apiKey", r"/check/.*|/metrics"),
    Surface("dsp", dsp, "selfIssuedToken", r".*/\.well-known/.*|/p/.*"),
    Surface("data-plane", data_plane, "accessToken"),
    Surface("dcp", dcp, "selfIssuedToken"),
    Surface("twins", twins, "apiKey"),
    Surface("authority", authority, "selfIssuedToken", r"/\.well-known/.*|/issuer/(metadata|schemas/.*)|/status/.*"),
    Surface("register", register, "apiKey", r"/api/check/.*"),
)


@pytest.fixture(scope="module", params=SURFACES, ids=lambda surface: surface.name)
def surface(request: pytest.FixtureRequest) -> Surface:
    return cast("Surface", request.param)


@pytest.fixture(scope="module")
def specification(surface: Surface) -> Specification:
    return surface.read()


def named(name: str) -> Specification:
    return next(surface for surface in SURFACES if surface.name == name).read()


def operations(specification: Specification) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in specification["paths"].items():
        for method in METHODS:
            if method.lower() in item:
                yield method, path, item[method.lower()]


def references(doc: object) -> Iterator[str]:
    if isinstance(doc, dict):
        if isinstance(doc.get("$ref"), str):
            yield doc["$ref"]
        for value in doc.values():
            yield from references(value)
    elif isinstance(doc, list):
        for value in doc:
            yield from references(value)


def resolved(specification: Specification, doc: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in doc:
        return doc
    found: Any = specification
    for segment in doc["$ref"].removeprefix("#/").split("/"):
        found = found[segment]
    return dict(found)


def schemas(specification: Specification) -> Mapping[str, dict[str, Any]]:
    found: Mapping[str, dict[str, Any]] = specification["components"]["schemas"]
    return found


def valid(specification: Specification, schema: Mapping[str, Any], value: object) -> None:
    Draft202012Validator({**schema, "components": specification["components"]}).validate(value)


def test_every_file_is_about_a_surface() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {surface.name for surface in SURFACES}


def test_file_is_openapi_3_1(specification: Specification) -> None:
    assert specification["openapi"].startswith("3.1")
    validate(specification)


def test_file_and_router_have_the_same_operations(surface: Surface, specification: Specification) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in surface.application().router.routes()
        if route.resource is not None
    }
    described = {(method, path) for method, path, _ in operations(specification)}
    assert described | {("HEAD", path) for method, path in described if method == "GET"} == served


def test_every_path_parameter_is_declared(specification: Specification) -> None:
    for path, item in specification["paths"].items():
        declared = [resolved(specification, parameter) for parameter in item.get("parameters", [])]
        assert sorted(p["name"] for p in declared) == sorted(re.findall(r"{(\w+)}", path)), path
        assert all(p["in"] == "path" for p in declared), path


def test_every_operation_has_a_name_a_summary_and_a_place(specification: Specification) -> None:
    known = {tag["name"] for tag in specification["tags"]}
    names = [operation["operationId"] for _, _, operation in operations(specification)]
    assert len(names) == len(set(names))
    for _, path, operation in operations(specification):
        assert operation["summary"], path
        assert operation["tags"], path
        assert set(operation["tags"]) <= known, path


def test_every_refusal_has_a_body(specification: Specification) -> None:
    for method, path, operation in operations(specification):
        for status, response in operation["responses"].items():
            if status[0] in "45d" and status != "416":  # its Content-Range says it all
                content = resolved(specification, response).get("content", {})
                assert content, (method, path, status)
                assert all("schema" in media for media in content.values()), (method, path, status)


def test_every_component_is_used(specification: Specification) -> None:
    used = set(references(specification))
    for kind, components in specification["components"].items():
        for name in components:
            assert kind == "securitySchemes" or f"#/components/{kind}/{name}" in used, name


def test_only_what_is_for_anybody_needs_no_proof(surface: Surface, specification: Specification) -> None:
    assert specification["security"] == [{surface.security: []}]
    for _, path, operation in operations(specification):
        open_to_all = operation.get("security") == []
        assert open_to_all is bool(re.fullmatch(surface.open_to_all, path)), path
    schemes = {name for need in uses_of_security(specification) for name in need}
    assert schemes == specification["components"]["securitySchemes"].keys()


def uses_of_security(specification: Specification) -> Iterator[dict[str, Any]]:
    yield from specification["security"]
    for _, _, operation in operations(specification):
        yield from operation.get("security", [])


def test_every_example_fits_its_schema(specification: Specification) -> None:
    for schema in schemas(specification).values():
        for example in schema.get("examples", []):
            valid(specification, schema, example)


def test_what_the_management_api_creates_answers_200_and_never_201() -> None:
    for method, path, operation in operations(named("management")):
        good = {status for status in operation["responses"] if status.startswith("2")}
        assert good in ({"200"}, {"204"}), (method, path)


class Message(Protocol):
    @classmethod
    def parse(cls, doc: object) -> Self: ...

    def to_json(self) -> dict[str, Any]: ...


BODIES: dict[str, type[Message]] = {
    name: kind
    for module in (catalog, negotiation_messages, transfer_messages)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and kind.__module__ == module.__name__ and hasattr(kind, "to_json")
}
"""Every message, object and error of the protocol, by its `@type`."""
PARTS = {"DataAddress"}


def test_every_message_of_the_protocol_is_described() -> None:
    assert BODIES.keys() <= schemas(named("dsp")).keys()


@pytest.mark.parametrize("name", sorted(BODIES.keys() - PARTS))
def test_our_reader_takes_the_examples_and_our_writer_writes_them(name: str) -> None:
    examples = schemas(named("dsp"))[name]["examples"]
    assert examples
    for example in examples:
        written = BODIES[name].parse(example).to_json()
        assert json.loads(json.dumps(written)) == example


def test_the_other_documents_of_the_protocol_are_ours() -> None:
    examples = {name: schema["examples"][0] for name, schema in schemas(named("dsp")).items() if "examples" in schema}
    assert catalog.read_catalog(examples["Catalog"]).datasets[0].formats == ("HttpData-PULL",)
    assert catalog.read_dataset(examples["RootDataset"]).formats == ("HttpData-PUSH",)
    document = examples["DidDocument"]
    read = parse_did_document(document, document["id"])
    assert all(read.methods.values())
    assert find_dsp_endpoints(document) == ("https://connector.helvion.example/api/v1/dsp",)
    versions = examples["VersionResponse"]
    assert versions_json(parse_versions(versions)) == versions


@pytest.mark.parametrize("path", [DATA_PATH, f"{DATA_PATH}/{{tail}}"])
def test_every_method_of_a_pull_is_described(path: str) -> None:
    assert {method for method, where, _ in operations(named("data-plane")) if where == path} == set(METHODS)
