import json

import pytest

from connector.exchange.ports import Identity
from connector.identity.directory import Directory
from connector.identity.mock import MockIdentity
from connector.protocol.errors import Invalid, PeerError

BPN = "BPNL00000000CONS"
ADDRESS = "http://localhost:19194/protocol/2025-1"


def identity(name: str = "provider", anonymous: str | None = None) -> MockIdentity:
    return MockIdentity(name, Directory({BPN: "consumer"}), anonymous=anonymous)


def test_it_is_the_identity_that_the_use_cases_need() -> None:
    port: Identity = identity()
    assert port.id == "provider"


async def test_the_header_is_the_bare_json_that_edc_sends() -> None:
    header = await identity("consumer").token("provider", address=ADDRESS)
    assert json.loads(header) == {"region": "eu", "audience": ADDRESS, "clientId": "consumer"}


async def test_the_client_id_is_the_sender() -> None:
    header = await identity("consumer").token("provider", address=ADDRESS)
    caller = await identity().verify(header)
    assert (caller.id, caller.bpn, caller.claims["audience"]) == ("consumer", BPN, ADDRESS)
    assert (await identity().verify(f"Bearer {header}")).id == "consumer"
    assert (await identity().verify('{"clientId": "stranger"}')).bpn is None


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer ",
        "Bearer eyJhbGciOiJFUzI1NiJ9.e30.AA",
        "consumer",
        "[]",
        "{}",
        '{"clientId": ""}',
        '{"clientId": " "}',
        '{"clientId": 5}',
        '{"clientId": "faultyClientId"}',
        '{"clientId": "consumer", "clientId": "provider"}',
        '{"clientId": "\\ud800"}',
    ],
)
async def test_a_header_that_names_nobody_is_refused(header: str | None) -> None:
    with pytest.raises(PeerError) as refusal:
        await identity().verify(header)
    assert refusal.value.status == 401


@pytest.mark.parametrize("header", [None, "", "Bearer"])
async def test_a_caller_without_token_may_be_given_a_name(header: str | None) -> None:
    caller = await identity(anonymous="consumer").verify(header)
    assert (caller.id, caller.bpn, caller.claims) == ("consumer", BPN, {})


async def test_a_bad_token_is_no_missing_token() -> None:
    with pytest.raises(PeerError):
        await identity(anonymous="consumer").verify("garbage")


async def test_a_token_refresh_is_asserted_with_the_access_token() -> None:
    header = await identity("consumer").token("provider", address=ADDRESS, claims={"token": ADDRESS})
    assert (await identity().verify(header, single_use=False)).claims["token"] == ADDRESS


async def test_claims_that_the_form_has_itself_cannot_be_set() -> None:
    with pytest.raises(Invalid, match="clientId"):
        await identity().token("consumer", address=ADDRESS, claims={"clientId": "somebody"})


@pytest.mark.parametrize(("name", "anonymous"), [("", None), (" ", None), ("faultyClientId", None), ("a", " ")])
def test_a_name_that_peers_refuse_is_refused_at_start(name: str, anonymous: str | None) -> None:
    with pytest.raises(Invalid):
        identity(name, anonymous)
