"""Transfer Process: Message Types, and the many names of what a data address holds."""

from typing import Any

import pytest

from connector.protocol.errors import PeerError
from connector.protocol.transfer import State
from connector.protocol.transfer_messages import (
    MAX_VALUE,
    DataAddress,
    TokenRefresh,
    TransferCompletionMessage,
    TransferError,
    TransferProcess,
    TransferRequestMessage,
    TransferStartMessage,
    TransferSuspensionMessage,
    TransferTerminationMessage,
    http_pull_address,
)
from connector.protocol.vocabulary import CONTEXT, EDC, HTTP_ENDPOINT, HTTP_PULL, TX_AUTH

PIDS = {"consumerPid": "cp", "providerPid": "pp"}
REQUEST: dict[str, object] = {
    "consumerPid": "cp",
    "agreementId": "a",
    "format": HTTP_PULL,
    "callbackAddress": "https://c.example",
}
REFRESH = TokenRefresh(
    refresh_token="r.e.f",  # noqa: S106 - a made-up one, looked for in repr
    expires_in_s=300,
    refresh_endpoint="https://p.example/public/token",
    refresh_audience="did:web:p.example",
    audience="did:web:c.example",
)


def doc(kind: type, **members: object) -> dict[str, Any]:
    return {"@context": CONTEXT, "@type": kind.__name__, **members}


def refused(kind: type[Any], **members: object) -> str:
    with pytest.raises(PeerError) as fault:
        kind.parse(doc(kind, **members))
    assert fault.value.status == 400
    return fault.value.pointer


def prop(name: object, value: object) -> dict[str, object]:
    return {"@type": "EndpointProperty", "name": name, "value": value}


class TestTransferRequestMessage:
    def test_a_pull_has_no_data_address(self) -> None:
        body = doc(TransferRequestMessage, **REQUEST)
        read = TransferRequestMessage.parse(body)
        assert read.data_address is None
        assert read.to_json() == body

    def test_a_push_says_where_to(self) -> None:
        address = {"@type": "DataAddress", "endpointType": "HttpData", "endpoint": "https://c.example/in"}
        body = doc(TransferRequestMessage, **REQUEST, dataAddress=address)
        read = TransferRequestMessage.parse(body)
        assert read.data_address == DataAddress(endpoint_type="HttpData", endpoint="https://c.example/in")
        assert read.to_json() == body

    @pytest.mark.parametrize("key", ["consumerPid", "agreementId", "format", "callbackAddress"])
    def test_nothing_of_it_may_be_absent(self, key: str) -> None:
        assert refused(TransferRequestMessage, **{k: v for k, v in REQUEST.items() if k != key}) == f"/{key}"

    def test_a_fault_in_the_data_address_is_found_there(self) -> None:
        place = refused(TransferRequestMessage, **REQUEST, dataAddress={"@type": "DataAddress"})
        assert place == "/dataAddress/endpointType"


class TestTransferStartMessage:
    def test_a_consumer_that_resumes_sends_no_address(self) -> None:
        assert TransferStartMessage.parse(doc(TransferStartMessage, **PIDS)).data_address is None

    def test_the_provider_sends_the_address(self) -> None:
        message = TransferStartMessage(
            consumer_pid="cp", provider_pid="pp", data_address=http_pull_address("https://p.example/public", "t.o.k")
        )
        assert TransferStartMessage.parse(message.to_json()) == message


class TestDataAddress:
    def test_one_property_may_come_without_an_array(self) -> None:
        body = {"@type": "dspace:DataAddress", "endpointType": "x", "endpointProperties": prop("authorization", "t")}
        assert DataAddress.parse(body).properties == (("authorization", "t"),)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [(300, "300"), (True, "true"), (False, "false"), ("", ""), ({"@value": 300}, "300"), ("x" * 4096, "x" * 4096)],
    )
    def test_values_become_text(self, value: object, expected: str) -> None:
        body = {"@type": "DataAddress", "endpointType": "x", "endpointProperties": [prop("n", value)]}
        assert DataAddress.parse(body).get("n") == expected

    @pytest.mark.parametrize(
        ("row", "pointer"),
        [
            ("x", "/a/endpointProperties/0"),
            (prop(None, "v"), "/a/endpointProperties/0/name"),
            (prop("n", None), "/a/endpointProperties/0/value"),
            (prop("n", ["v"]), "/a/endpointProperties/0/value"),
            (prop("n", "v\r\nSet-Cookie: x"), "/a/endpointProperties/0/value"),
            (prop("n", "v" * (MAX_VALUE + 1)), "/a/endpointProperties/0/value"),
        ],
    )
    def test_a_property_that_is_none_is_refused(self, row: object, pointer: str) -> None:
        with pytest.raises(PeerError) as fault:
            DataAddress.parse({"@type": "DataAddress", "endpointType": "x", "endpointProperties": [row]}, "/a")
        assert fault.value.pointer == pointer

    def test_without_properties_none_are_written(self) -> None:
        assert DataAddress(endpoint_type="x").to_json() == {"@type": "DataAddress", "endpointType": "x"}

    @pytest.mark.parametrize("written", ["authorization", f"{EDC}authorization", "edc:authorization"])
    @pytest.mark.parametrize("asked", ["authorization", f"{EDC}authorization", "edc:authorization"])
    def test_a_value_is_found_under_any_of_its_names(self, written: str, asked: str) -> None:
        assert DataAddress(endpoint_type="x", properties=((written, "t"),)).get(asked) == "t"

    def test_the_spelling_asked_for_wins_then_the_first(self) -> None:
        address = DataAddress(endpoint_type="x", properties=(("a", "1"), (f"{EDC}a", "2"), ("a", "3")))
        assert (address.get("a"), address.get(f"{EDC}a"), address.get("edc:a")) == ("1", "2", "1")

    def test_the_endpoint_is_a_member_or_a_property(self) -> None:
        as_property = DataAddress(endpoint_type="x", properties=((f"{EDC}endpoint", "https://p"),))
        assert as_property.get("endpoint") == "https://p"
        assert DataAddress(endpoint_type="x", endpoint="https://p").get(f"{EDC}endpoint") == "https://p"

    def test_what_is_not_there_is_none(self) -> None:
        assert http_pull_address("https://p", "t").get("refreshToken") is None

    def test_tokens_do_not_reach_a_log(self) -> None:
        message = TransferStartMessage(
            consumer_pid="c", provider_pid="p", data_address=http_pull_address("https://p", "s3cret", REFRESH)
        )
        assert "s3cret" not in repr(message)
        assert "r.e.f" not in repr(message)
        assert "r.e.f" not in repr(REFRESH)


class TestHttpPullAddress:
    def test_every_known_reader_finds_endpoint_and_token(self) -> None:
        body = http_pull_address("https://p.example/public", "t.o.k").to_json()
        named = {row["name"]: row["value"] for row in body["endpointProperties"]}
        assert body["endpointType"] == HTTP_ENDPOINT
        assert body["endpoint"] == named[f"{EDC}endpoint"] == "https://p.example/public"
        assert named["authorization"] == named[f"{EDC}authorization"] == "t.o.k"
        assert named["authType"] == named[f"{EDC}authType"] == "bearer"
        assert not any(name.startswith(TX_AUTH) for name in named)

    def test_a_tractus_x_consumer_finds_how_to_refresh(self) -> None:
        address = http_pull_address("https://p.example/public", "t.o.k", REFRESH)
        found = {name: address.get(TX_AUTH + name) for name in ("refreshToken", "expiresIn", "refreshEndpoint")}
        assert found == {
            "refreshToken": "r.e.f",
            "expiresIn": "300",
            "refreshEndpoint": "https://p.example/public/token",
        }
        assert address.get("tx-auth:refreshAudience") == "did:web:p.example"
        assert address.get("audience") == "did:web:c.example"


@pytest.mark.parametrize("state", list(State))
def test_the_state_of_a_transfer_is_read_and_written(state: State) -> None:
    read = TransferProcess.parse(doc(TransferProcess, **PIDS, state=f"dspace:{state}"))
    assert read.state is state
    assert read.to_json() == doc(TransferProcess, **PIDS, state=state.value)


def test_an_internal_state_of_edc_is_refused() -> None:
    assert refused(TransferProcess, **PIDS, state="STARTUP_REQUESTED") == "/state"


@pytest.mark.parametrize("kind", [TransferSuspensionMessage, TransferTerminationMessage, TransferError])
def test_an_empty_reason_is_not_written(kind: type[Any]) -> None:
    assert kind(consumer_pid="cp", provider_pid="pp").to_json() == doc(kind, **PIDS)


@pytest.mark.parametrize(
    "kind",
    [
        TransferStartMessage,
        TransferSuspensionMessage,
        TransferCompletionMessage,
        TransferTerminationMessage,
        TransferProcess,
    ],
)
def test_both_pids_are_required(kind: type[Any]) -> None:
    assert refused(kind, providerPid="pp", state="STARTED") == "/consumerPid"
    assert refused(kind, consumerPid="cp", state="STARTED") == "/providerPid"


def test_one_message_is_not_taken_for_another() -> None:
    with pytest.raises(PeerError, match="expected @type TransferCompletionMessage") as fault:
        TransferCompletionMessage.parse(doc(TransferTerminationMessage, **PIDS))
    assert fault.value.pointer == "/@type"
