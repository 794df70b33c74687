"""Who comes in, how errors look, and what the paths put up with."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from connector.http.health import PATIENCE_S, Check
from connector.http.management import management_app
from connector.http.management.border import MAX_BODY
from connector.protocol.errors import Invalid
from tests.integration.management_world import KEY, VOCAB, Said, World, asset_json, contract_json, world


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.mark.parametrize("key", ["", "the-operators-kez", "the-operators-key-and-more", "schlüssel", "\udcff"])
@pytest.mark.parametrize("path", ["/v3/assets/request", "/v3/nothing", "/"])
async def test_wrong_key_is_401_everywhere(here: World, key: str, path: str) -> None:
    reply = await here.call("POST", path, X_Api_Key=key)
    assert reply.status == 401
    assert reply.error["type"] == "AuthenticationFailed"
    assert KEY not in str(reply.body)


async def test_missing_key_is_401(here: World) -> None:
    async with here.session.get(here.listener.url + "/management/v3/assets/x") as response:
        assert response.status == 401
        assert "send the API key in the header X-Api-Key" in await response.text()


async def test_a_wrong_key_is_called_wrong_and_not_missing(here: World) -> None:
    reply = await here.call("POST", "/v3/assets/request", X_Api_Key="the-operators-kez")
    assert reply.error["message"].startswith("the API key in the header X-Api-Key is not the one")


async def test_right_key_meets_404_for_unknown_paths_and_405_for_unknown_methods(here: World) -> None:
    missing = await here.call("GET", "/v3/nothing")
    assert (missing.status, missing.error["type"]) == (404, "ObjectNotFound")
    wrong = await here.call("PATCH", "/v3/assets")
    assert (wrong.status, wrong.error["type"]) == (405, "MethodNotAllowed")
    assert set(wrong.headers["Allow"].split(",")) == {"POST", "PUT"}


async def test_broken_json_is_400_with_line_and_column(here: World) -> None:
    reply = await here.call("POST", "/v3/assets", raw=b'{"@id": ')
    assert (reply.status, reply.error["type"]) == (400, "InvalidRequest")
    assert "line 1" in reply.error["message"]


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1"])
async def test_body_that_is_no_object_is_400(here: World, body: bytes) -> None:
    assert (await here.call("POST", "/v3/assets", raw=body)).status == 400


async def test_unknown_context_is_400_and_fetched_from_nowhere(here: World) -> None:
    reply = await here.call("POST", "/v3/assets", asset_json("a") | {"@context": "https://evil.example/c.jsonld"})
    assert (reply.status, reply.error["type"]) == (400, "ValidationFailure")
    assert here.wire.sent == []


async def test_body_beyond_the_limit_is_413(here: World) -> None:
    headers = {"X-Api-Key": KEY, "Content-Length": str(MAX_BODY + 1)}
    async with here.session.post(here.listener.url + "/management/v3/assets", headers=headers) as response:
        assert response.status == 413
        assert (await response.json())[0]["type"] == "InvalidRequest"


async def test_errors_are_edcs(here: World) -> None:
    reply = await here.call("GET", "/v3/assets/none")
    assert reply.error == {
        "message": "there is no Asset none",
        "type": "ObjectNotFound",
        "path": None,
        "invalidValue": "none",
    }


async def test_ids_with_colons_blanks_slashes_and_150_characters_survive(here: World) -> None:
    for ident, path in (
        ("ichub:asset:1", "ichub:asset:1"),
        ("with blank", "with%20blank"),
        ("a/b?c", "a%2Fb%3Fc"),
        ("x" * 150 + "==:YQ==", "x" * 150 + "==:YQ=="),
    ):
        await here.ok("POST", "/v3/assets", asset_json(ident))
        assert (await here.ok("GET", f"/v3/assets/{path}"))["@id"] == ident


async def test_doubled_slashes_are_one(here: World) -> None:
    assert (await here.call("POST", "//v3///assets//request")).body == []


async def test_unexpected_failure_tells_nothing_but_an_id(here: World) -> None:
    here.wire.answers["/catalog/request"] = ZeroDivisionError("the password is hunter2")
    body = contract_json() | {"counterPartyId": "did:web:theirs.example"}
    reply = await here.call("POST", "/v3/catalog/request", body, X_Request_Id="incident-1")
    assert (reply.status, reply.error["type"]) == (500, "InternalError")
    assert "incident-1" in reply.error["message"]
    assert "hunter2" not in str(reply.body)


async def test_wrongs_of_the_counterparty_are_502_and_never_its_own_status(here: World) -> None:
    here.wire.answers["/catalog/request"] = Said(401, b'{"@type": "CatalogError", "code": "401", "reason": ["who?"]}')
    reply = await here.call("POST", "/v3/catalog/request", contract_json(counterPartyId="did:web:theirs.example"))
    assert (reply.status, reply.error["type"]) == (502, "BadGateway")
    assert "401" in reply.error["message"]
    assert "who?" in reply.error["message"]


async def test_refused_contexts_do_not_shadow_a_null_context(here: World) -> None:
    await here.ok("POST", "/v3/assets", asset_json("bare") | {"@context": None})
    assert (await here.ok("GET", "/v3/assets/bare"))["properties"]["name"] == "A"


# --- health ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["/management", "/api"])
@pytest.mark.parametrize("question", ["health", "readiness", "startup", "liveness"])
async def test_health_needs_no_key(here: World, base: str, question: str) -> None:
    async with here.session.get(f"{here.listener.url}{base}/check/{question}") as response:
        assert response.status == 200
        answer = await response.json()
    named = [result["component"] for result in answer["componentResults"]]
    assert answer["isSystemHealthy"] is True
    assert named == (["process"] if question == "liveness" else ["process", "store"])


async def test_closed_store_is_not_ready_but_alive(here: World) -> None:
    await here.node.store.close()
    ready = await here.call("GET", "/check/readiness")
    assert ready.status == 503
    assert [r["isHealthy"] for r in ready.body["componentResults"]] == [True, False]
    assert (await here.call("GET", "/check/liveness")).status == 200


async def test_health_does_not_tell_why() -> None:
    async def probe() -> None:
        raise OSError("postgres://admin:hunter2@db is away")

    async with world(checks=[Check("backend", probe)]) as here:
        reply = await here.call("GET", "/check/health")
    assert reply.status == 503
    assert "hunter2" not in str(reply.body)
    assert reply.body["componentResults"][-1]["component"] == "backend"


async def test_component_that_hangs_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.http.health.PATIENCE_S", 0.01)
    assert PATIENCE_S > 0.01
    async with world(checks=[Check("backend", asyncio.Event().wait)]) as here:
        assert (await here.call("GET", "/check/readiness")).status == 503


@pytest.mark.parametrize(("base", "key"), [("/", "key"), ("", "key"), ("/management", "")])
async def test_base_path_and_key_must_be_given(here: World, base: str, key: str) -> None:
    with pytest.raises(Invalid):
        management_app(here.node, here.engine, api_key=key, base_path=base)


async def test_context_without_vocab_still_means_edc(here: World) -> None:
    doc = asset_json("sdk") | {"@context": {"dct": "http://purl.org/dc/terms/"}}
    await here.ok("POST", "/v3/assets", doc)
    assert (await here.ok("GET", "/v3/assets/sdk"))["dataAddress"]["type"] == "HttpData"
    assert VOCAB["@vocab"].startswith("https://")
