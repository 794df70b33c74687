"""Contract Negotiation: Message Types, one by one: what is required, what is tolerated, what is written."""

from typing import Any

import pytest

from connector.protocol.errors import PeerError
from connector.protocol.messages import UNKNOWN_PID
from connector.protocol.negotiation import State
from connector.protocol.negotiation_messages import (
    ContractAgreementMessage,
    ContractAgreementVerificationMessage,
    ContractNegotiation,
    ContractNegotiationError,
    ContractNegotiationEventMessage,
    ContractNegotiationTerminationMessage,
    ContractOfferMessage,
    ContractRequestMessage,
)
from connector.protocol.vocabulary import CONTEXT, DSPACE

OFFER = {"@id": "o", "@type": "Offer", "target": "asset", "permission": [{"action": "use"}]}
AGREEMENT = {"@id": "a", "@type": "Agreement", "target": "asset", "assigner": "p", "assignee": "c"}
PIDS = {"consumerPid": "cp", "providerPid": "pp"}


def doc(kind: type, **members: object) -> dict[str, Any]:
    return {"@context": CONTEXT, "@type": kind.__name__, **members}


def without(members: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key not in keys}


def refused(kind: type[Any], **members: object) -> str:
    with pytest.raises(PeerError) as fault:
        kind.parse(doc(kind, **members))
    assert fault.value.status == 400
    return fault.value.pointer


def test_a_message_keeps_its_own_id_for_retries() -> None:
    read = ContractAgreementVerificationMessage.parse(doc(ContractAgreementVerificationMessage, **PIDS, **{"@id": "m"}))
    assert read.id == "m"
    assert read.to_json()["@id"] == "m"
    nameless = ContractAgreementVerificationMessage(consumer_pid="cp", provider_pid="pp")
    assert "@id" not in nameless.to_json()


def test_written_messages_do_not_share_their_context() -> None:
    message = ContractAgreementVerificationMessage(consumer_pid="cp", provider_pid="pp")
    message.to_json()["@context"].append("https://elsewhere.example")
    assert message.to_json() == doc(ContractAgreementVerificationMessage, **PIDS)


class TestContractRequestMessage:
    def test_opens_with_a_callback_address(self) -> None:
        body = doc(ContractRequestMessage, consumerPid="cp", offer=OFFER, callbackAddress="https://c.example")
        read = ContractRequestMessage.parse(body)
        assert (read.callback_address, read.provider_pid) == ("https://c.example", None)
        assert read.to_json() == body

    def test_counters_with_the_providers_pid(self) -> None:
        read = ContractRequestMessage.parse(doc(ContractRequestMessage, **PIDS, offer=OFFER))
        assert (read.callback_address, read.provider_pid) == (None, "pp")

    def test_the_pid_decides_when_edc_sends_both(self) -> None:
        both = doc(ContractRequestMessage, **PIDS, offer=OFFER, callbackAddress="https://c.example")
        read = ContractRequestMessage.parse(both)
        assert (read.callback_address, read.provider_pid) == (None, "pp")
        assert "callbackAddress" not in read.to_json()

    def test_we_never_write_both(self) -> None:
        with pytest.raises(PeerError, match="only opens") as fault:
            ContractRequestMessage(consumer_pid="cp", offer=OFFER, callback_address="https://c", provider_pid="pp")
        assert fault.value.pointer == "/callbackAddress"

    def test_needs_one_of_them(self) -> None:
        assert refused(ContractRequestMessage, consumerPid="cp", offer=OFFER) == "/providerPid"

    def test_the_target_may_be_left_to_the_offers_id(self) -> None:
        read = ContractRequestMessage.parse(doc(ContractRequestMessage, **PIDS, offer=without(OFFER, "target")))
        assert "target" not in read.offer

    @pytest.mark.parametrize(
        ("offer", "pointer"),
        [
            (None, "/offer"),
            ([OFFER], "/offer"),
            (without(OFFER, "@id"), "/offer/@id"),
            (without(OFFER, "@type"), "/offer/@type"),
            (OFFER | {"@type": "Set"}, "/offer/@type"),
            (OFFER | {"target": 7}, "/offer/target"),
        ],
    )
    def test_an_offer_that_cannot_be_told_is_refused(self, offer: object, pointer: str) -> None:
        assert refused(ContractRequestMessage, **PIDS, offer=offer) == pointer

    def test_an_offer_without_rules_is_taken_as_edc_sends_it(self) -> None:
        offer = without(OFFER, "permission")
        assert ContractRequestMessage.parse(doc(ContractRequestMessage, **PIDS, offer=offer)).offer == offer


class TestContractOfferMessage:
    def test_opens_with_a_callback_address(self) -> None:
        body = doc(ContractOfferMessage, providerPid="pp", offer=OFFER, callbackAddress="https://p.example")
        read = ContractOfferMessage.parse(body)
        assert (read.callback_address, read.consumer_pid) == ("https://p.example", None)
        assert read.to_json() == body

    def test_the_pid_decides_when_edc_sends_both(self) -> None:
        both = doc(ContractOfferMessage, **PIDS, offer=OFFER, callbackAddress="https://p.example")
        read = ContractOfferMessage.parse(both)
        assert (read.callback_address, read.consumer_pid) == (None, "cp")

    def test_needs_one_of_them(self) -> None:
        assert refused(ContractOfferMessage, providerPid="pp", offer=OFFER) == "/consumerPid"

    def test_must_say_what_it_is_about(self) -> None:
        assert refused(ContractOfferMessage, **PIDS, offer=without(OFFER, "target")) == "/offer/target"


class TestContractAgreementMessage:
    def test_is_read_with_and_without_timestamp(self) -> None:
        for agreement in (AGREEMENT, AGREEMENT | {"timestamp": "2026-11-22T00:46:01Z"}):
            body = doc(ContractAgreementMessage, **PIDS, agreement=agreement)
            assert ContractAgreementMessage.parse(body).to_json() == body

    @pytest.mark.parametrize("key", ["@id", "@type", "target", "assigner", "assignee"])
    def test_names_itself_its_object_and_both_parties(self, key: str) -> None:
        assert refused(ContractAgreementMessage, **PIDS, agreement=without(AGREEMENT, key)) == f"/agreement/{key}"

    def test_a_timestamp_is_a_text(self) -> None:
        assert (
            refused(ContractAgreementMessage, **PIDS, agreement=AGREEMENT | {"timestamp": 1}) == "/agreement/timestamp"
        )


class TestContractNegotiationEventMessage:
    @pytest.mark.parametrize("event", ["ACCEPTED", "FINALIZED"])
    def test_is_one_of_two_events(self, event: str) -> None:
        body = doc(ContractNegotiationEventMessage, **PIDS, eventType={"@id": f"{DSPACE}{event}"})
        read = ContractNegotiationEventMessage.parse(body)
        assert read.event_type == event
        assert read.to_json()["eventType"] == event

    def test_anything_else_is_refused(self) -> None:
        assert refused(ContractNegotiationEventMessage, **PIDS, eventType="AGREED") == "/eventType"
        with pytest.raises(PeerError, match="ACCEPTED, FINALIZED"):
            ContractNegotiationEventMessage(consumer_pid="cp", provider_pid="pp", event_type="AGREED")


class TestContractNegotiationTerminationMessage:
    def test_an_empty_reason_is_not_written(self) -> None:
        message = ContractNegotiationTerminationMessage(consumer_pid="cp", provider_pid="pp")
        assert message.to_json() == doc(ContractNegotiationTerminationMessage, **PIDS)

    def test_code_and_reason_are_read(self) -> None:
        body = doc(ContractNegotiationTerminationMessage, **PIDS, code=99, reason="License model does not fit.")
        read = ContractNegotiationTerminationMessage.parse(body)
        assert (read.code, read.reason) == ("99", ("License model does not fit.",))
        assert read.to_json()["reason"] == ["License model does not fit."]


class TestContractNegotiation:
    @pytest.mark.parametrize("state", list(State))
    def test_the_state_is_a_bare_word_or_has_its_namespace(self, state: State) -> None:
        for wire in (str(state), f"dspace:{state}", f"{DSPACE}{state}"):
            read = ContractNegotiation.parse(doc(ContractNegotiation, **PIDS, state=wire))
            assert read.state is state
        assert read.to_json()["state"] == state.value

    def test_a_state_that_is_none_is_refused(self) -> None:
        assert refused(ContractNegotiation, **PIDS, state="AGREEING") == "/state"


class TestContractNegotiationError:
    def test_is_read_without_pids(self) -> None:
        body = without(doc(ContractNegotiationError, code="404", reason=["Not found"]), "@context")
        read = ContractNegotiationError.parse(body)
        assert read == ContractNegotiationError(code="404", reason=("Not found",))

    def test_is_written_with_both(self) -> None:
        body = ContractNegotiationError(consumer_pid="cp", code="400", reason=("offer has no target",)).to_json()
        assert (body["consumerPid"], body["providerPid"]) == ("cp", UNKNOWN_PID)
        assert ContractNegotiationError.parse(body).provider_pid is None


@pytest.mark.parametrize(
    "kind",
    [
        ContractAgreementVerificationMessage,
        ContractNegotiationTerminationMessage,
        ContractNegotiationEventMessage,
        ContractNegotiation,
        ContractAgreementMessage,
    ],
)
def test_both_pids_are_required(kind: type[Any]) -> None:
    assert refused(kind, providerPid="pp") == "/consumerPid"
    assert refused(kind, consumerPid="cp") == "/providerPid"
