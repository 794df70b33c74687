"""What requests to a registry mean, in the spellings of the clients in the field, and descriptors read and written."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from connector.protocol.errors import PeerError
from connector.twins.calls import LARGEST_PAGE, TABLE, Call, Op, page, read_call, read_id, refusal, write_id
from connector.twins.shell import MAX_IDS, AssetLink, Shell, SpecificAssetId

IDENT = "urn:uuid:ü?>~"
LINK = {"name": "partInstanceId", "value": "ü>?"}


def call(method: str, path: str, query: str = "", body: object = None, *, owner: bool = True) -> Call:
    return read_call(method, path, query, body, owner=owner)


@pytest.mark.parametrize("encode", [base64.urlsafe_b64encode, base64.b64encode])
@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("quoted", [True, False])
def test_an_id_is_understood_in_every_base64(encode: Callable[[bytes], bytes], padding: bool, quoted: bool) -> None:
    text = encode(IDENT.encode()).decode()
    text = text if padding else text.rstrip("=")
    assert read_id(quote(text, safe="") if quoted else text) == IDENT


@pytest.mark.parametrize("text", ["", "!", "a", "____", write_id("\x00"), write_id("x" * 3000), "A" * 9000])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(PeerError) as refused:
        read_id(text)
    assert refused.value.status == 400


@pytest.mark.parametrize("prefix", ["", "/api/v3", "/api/v3.0", "/api/v3.1"])
@pytest.mark.parametrize(("method", "template"), TABLE)
def test_every_call_of_the_table_is_understood(prefix: str, method: str, template: str) -> None:
    path = template.format(shell=write_id("a"), submodel=write_id("b"))
    found = call(method, prefix + path)
    assert found.op is TABLE[method, template]
    assert found.shell == ("a" if "{shell}" in template else "")
    assert found.submodel == ("b" if "{submodel}" in template else "")


def test_links_come_in_the_body_and_in_the_query_alone_together_and_repeated() -> None:
    wanted = (AssetLink(**LINK), AssetLink("van", "1"))
    both = [LINK, {"name": "van", "value": "1"}]
    each = [base64.urlsafe_b64encode(json.dumps(row).encode()).decode() for row in both]
    plain = quote(base64.b64encode(json.dumps(LINK).encode()).decode())
    whole = base64.b64encode(json.dumps(both).encode()).decode()
    assert call("POST", "/lookup/shellsByAssetLink", body=both).links == wanted
    for query in (f"assetIds={each[0]}&assetIds={each[1]}", f"assetIds={','.join(each)}", f"assetIds={whole}"):
        assert call("GET", "/lookup/shells", query).links == wanted
    assert call("GET", "/lookup/shells", f"assetIds={plain}").links == wanted[:1]
    assert call("GET", "/lookup/shells").links == ()


def test_pages_have_a_size_and_a_place() -> None:
    assert call("GET", "/shell-descriptors").limit == 100
    assert call("GET", "/shell-descriptors", "limit=5000").limit == LARGEST_PAGE
    assert call("GET", "/shell-descriptors", f"limit=2&cursor={write_id('a')}").after == "a"
    reply = page(["a"], last="a").doc
    assert reply == {"paging_metadata": {"cursor": write_id("a")}, "result": ["a"]}


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "status"),
    [
        ("GET", "/shell-descriptors", "limit=-1", None, 400),
        ("GET", "/shell-descriptors", "limit=1e3", None, 400),
        ("GET", "/shell-descriptors", "limit=" + "9" * 5000, None, 400),
        ("GET", "/shell-descriptors", "cursor=%ff", None, 400),
        ("GET", "/shell-descriptors", "&".join(["a=1"] * 99), None, 400),
        ("POST", "/lookup/shellsByAssetLink", "", [1], 400),
        ("POST", "/lookup/shellsByAssetLink", "", [{"name": "", "value": "x"}], 400),
        ("POST", "/lookup/shellsByAssetLink", "", [LINK] * 33, 400),
        ("GET", "/lookup/shells", f"assetIds={write_id('[' * 2000)}", None, 400),
        ("PATCH", "/shell-descriptors", "", None, 405),
        ("GET", "/bulk/shell-descriptors", "", None, 501),
        ("GET", "/", "", None, 404),
        ("GET", "/shell-descriptors/a/b/c", "", None, 404),
    ],
)
def test_what_is_no_call_is_refused(method: str, path: str, query: str, body: object, status: int) -> None:
    with pytest.raises(PeerError) as refused:
        call(method, path, query, body)
    assert refused.value.status == status
    doc = refusal(refused.value, 0).doc
    assert isinstance(doc, dict)
    assert doc["messages"][0]["timestamp"] == "1970-01-01T00:00:00.000Z"


def test_head_is_get_and_partners_change_nothing() -> None:
    assert call("HEAD", "/shell-descriptors", owner=False).op is Op.LIST
    with pytest.raises(PeerError, match="knows GET"):
        call("DELETE", f"/shell-descriptors/{write_id('a')}", owner=False)


def test_a_descriptor_keeps_what_it_does_not_know() -> None:
    link = {"name": "n", "value": "v", "semanticId": {"type": "ExternalReference", "keys": []}}
    doc = {
        "id": "a",
        "idShort": "x",
        "administration": {"version": "1"},
        "specificAssetIds": [link],
        "submodelDescriptors": [{"id": "s", "description": [{"language": "en", "text": "t"}]}],
    }
    written = Shell.parse(doc).to_json()
    assert written == {**doc, "specificAssetIds": [{"supplementalSemanticIds": [], **link}]}
    assert Shell.parse(written).to_json() == written


@pytest.mark.parametrize(
    ("doc", "pointer"),
    [
        ([], ""),
        ({}, "/id"),
        ({"id": "x" * 600}, "/id"),
        ({"id": "a", "specificAssetIds": [{"name": "n"}]}, "/specificAssetIds/0/value"),
        ({"id": "a", "specificAssetIds": [{"name": "n", "value": "v"}] * (MAX_IDS + 1)}, "/specificAssetIds"),
        (
            {"id": "a", "specificAssetIds": [{"name": "n", "value": "v", "externalSubjectId": {"keys": [{}]}}]},
            "/specificAssetIds/0/externalSubjectId/keys/0/value",
        ),
        ({"id": "a", "submodelDescriptors": [{"id": "s"}, {"id": "s"}]}, "/submodelDescriptors"),
        (
            {"id": "a", "submodelDescriptors": [{"id": "s", "endpoints": [{"interface": "x"}]}]},
            "/submodelDescriptors/0/endpoints/0/protocolInformation",
        ),
        ({"id": "a", "idShort": 7.5}, "/idShort"),
        ({"id": "a", "assetKind": {"@value": "Instance"}}, "/assetKind"),
        (
            {"id": "a", "specificAssetIds": [{"name": "n", "value": "v", "supplementalSemanticIds": "x"}]},
            "/specificAssetIds/0/supplementalSemanticIds",
        ),
        ({"id": "a", "submodelDescriptors": [{"id": "s", "idShort": []}]}, "/submodelDescriptors/0/idShort"),
        ({"id": "a", "submodelDescriptors": [{"id": "s", "semanticId": 0}]}, "/submodelDescriptors/0/semanticId"),
        (
            {"id": "a", "submodelDescriptors": [{"id": "s", "semanticId": {"keys": [{"value": {"@id": "m"}}]}}]},
            "/submodelDescriptors/0/semanticId/keys/0/value",
        ),
    ],
)
def test_a_descriptor_that_is_none_is_refused_with_the_place(doc: object, pointer: str) -> None:
    with pytest.raises(PeerError) as refused:
        Shell.parse(doc)
    assert refused.value.pointer == pointer


def test_too_many_readers_of_an_id_are_refused() -> None:
    with pytest.raises(PeerError, match="subjects"):
        SpecificAssetId("n", "v", tuple(f"BPN{n}" for n in range(1001)))


@pytest.mark.parametrize(
    ("body", "asset"),
    [
        ("id=a;dspEndpoint=https://x.example", ("a", "https://x.example")),
        ("dspEndpoint=https://x.example; id=a", ("a", "https://x.example")),
        ("id=a;dspEndpoint=https://x.example?a=b;", ("a", "https://x.example?a=b")),
        ("id=a", None),
        ("", None),
    ],
)
def test_an_endpoint_says_which_asset_and_where_to_ask(body: str, asset: tuple[str, str] | None) -> None:
    info = {"href": "https://x.example/d", "subprotocolBody": body}
    doc = {"id": "s", "endpoints": [{"interface": "SUBMODEL-3.0", "protocolInformation": info}]}
    (submodel,) = Shell.parse({"id": "a", "submodelDescriptors": [doc]}).submodels
    assert submodel.endpoints[0].asset == asset
