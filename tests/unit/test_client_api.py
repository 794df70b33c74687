import pytest

from connector.client import ApiError, Client
from connector.client.api import CONTEXT, read_faults
from connector.exchange.query import Criterion, QuerySpec
from tests.unit.client_world import KEY, Api, management

REFUSAL = [
    {"message": "the value is no number", "type": "ValidationFailure", "path": "/payload/a", "invalidValue": "x"}
]


async def test_a_refusal_names_the_place_and_the_status() -> None:
    api = Api()
    api.answer("GET /m/v3/assets/a", REFUSAL, status=400)
    async with management(api) as client:
        with pytest.raises(ApiError) as caught:
            await client.assets.get("a")
    error = caught.value
    assert (error.status, error.pointer) == (400, "/payload/a")
    assert str(error) == "the value is no number (at /payload/a)"
    assert (error.errors[0].kind, error.errors[0].value) == ("ValidationFailure", "x")
    assert error.to_json()["errors"] == [
        {"message": "the value is no number", "type": "ValidationFailure", "path": "/payload/a"}
    ]


def test_every_error_of_a_refusal_is_told() -> None:
    error = ApiError(400, read_faults(400, b'[{"message": "one", "path": "/1"}, {"message": "two", "path": "/2"}]'))
    assert str(error) == "one (at /1); two (at /2)"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (500, b"", "the management API answered 500"),
        (502, b"<html>bad gateway</html>", "the management API answered 502"),
        (401, b"", "the management API answered 401: wrong API key"),
        (404, b'{"message": "nothing here"}', "nothing here"),  # EDC's consumer proxy sends one object
        (500, b"[]", "the management API answered 500"),
        (400, b"[{}]", "no reason given"),
    ],
)
def test_error_bodies_of_other_forms_are_readable(status: int, body: bytes, told: str) -> None:
    assert [str(fault) for fault in read_faults(status, body)] == [told]


async def test_a_node_that_is_not_there_is_an_error_without_status() -> None:
    async with Client("http://127.0.0.1:9/management", KEY) as client:
        with pytest.raises(ApiError, match=r"cannot be reached: .*; is it running") as caught:
            await client.check()
    assert caught.value.status == 0


async def test_a_node_that_is_too_slow_is_an_error() -> None:
    async with management(Api()) as client:
        url = client.api.url
        async with Client(url, KEY, timeout_s=1e-6) as hasty:
            with pytest.raises(ApiError, match="did not answer"):
                await hasty.check()


async def test_an_answer_that_is_no_json_is_an_error() -> None:
    api = Api()
    api.answer("GET /m/check/readiness", b"<html>")
    async with management(api) as client:
        with pytest.raises(ApiError, match="is it a management API"):
            await client.check()


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(ApiError, match="async with"):
        await Client("http://127.0.0.1:9", KEY).check()


async def test_redirects_are_not_followed_because_the_key_would_go_along() -> None:
    api = Api()
    api.answer("GET /m/check/readiness", b"", status=307, headers={"Location": "/m/elsewhere"})
    async with management(api) as client:
        with pytest.raises(ApiError) as caught:
            await client.check()
    assert caught.value.status == 307
    assert len(api.asked) == 1


async def test_every_request_carries_the_key_and_a_context() -> None:
    api = Api()
    api.answer("POST /m/v3/assets", {"@id": "a"})
    async with management(api) as client:
        assert await client.assets.create("a", data_address={"type": "HttpData"}) == "a"
    assert api.asked[0].key == KEY
    assert api.asked[0].body["@context"] == CONTEXT


async def test_ids_are_one_path_segment_whatever_they_hold() -> None:
    api = Api()
    api.answer("DELETE /m/v3/assets/urn%3Aa%2Fb%20c%3F", b"", status=204)
    async with management(api) as client:
        await client.assets.remove("urn:a/b c?")
    assert api.asked[0].path == "/m/v3/assets/urn%3Aa%2Fb%20c%3F"


async def test_a_wait_is_one_request_that_the_server_answers() -> None:
    api = Api()
    api.answer("GET /m/v3/contractnegotiations/n", {"@id": "n", "state": "FINALIZED", "type": "CONSUMER"})
    async with management(api) as client:
        found = await client.negotiations.wait("n", timeout_s=12.5)
    assert found.state == "FINALIZED"
    assert [asked.query for asked in api.asked] == [{"wait": "FINALIZED", "timeout": "12.5"}]


async def test_a_page_knows_how_many_there_are_in_all() -> None:
    api = Api()
    api.answer("POST /m/v3/assets/request", [{"@id": "a"}], headers={"X-Total-Count": "42"})
    spec = QuerySpec(
        offset=3, limit=1, sort_field="createdAt", descending=True, criteria=(Criterion("x", "in", ("1", "2")),)
    )
    async with management(api) as client:
        page = await client.assets.query(spec)
    assert (page.total, [a.id for a in page.items]) == (42, ["a"])
    sent = api.asked[0].body
    assert (sent["offset"], sent["limit"], sent["sortField"], sent["sortOrder"]) == (3, 1, "createdAt", "DESC")
    assert sent["filterExpression"][0]["operandRight"] == ["1", "2"]


async def test_a_page_of_a_node_that_does_not_count_has_what_it_has() -> None:
    api = Api()
    api.answer("POST /m/v3/assets/request", [{"@id": "a"}, {"@id": "b"}])
    async with management(api) as client:
        assert (await client.assets.query()).total == 2
