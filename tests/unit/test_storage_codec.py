"""Everything that is stored comes back as it was."""

from typing import Any

import pytest

from connector.exchange.query import Criterion
from connector.exchange.records import Asset
from connector.policy.model import Policy
from connector.protocol import transfer
from connector.protocol.errors import Invalid
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Role
from connector.protocol.transfer import TransferProcess
from connector.storage import codec
from tests.unit import storage_records as records

KINDS: list[tuple[codec.Codec[Any], Any]] = [
    (codec.ASSET, records.asset()),
    (codec.POLICY, records.POLICY_DEFINITION),
    (codec.DEFINITION, records.definition("d-1", Criterion("a", "in", ("x", 1, True)), Criterion("b", "<", 1.5))),
    (codec.NEGOTIATION, records.a_negotiation()),
    (codec.AGREEMENT, records.an_agreement()),
    (codec.TRANSFER, records.a_transfer()),
    (codec.EDR, records.an_edr()),
    (codec.GRANT, records.GRANT),
    (codec.SECRET, records.SECRET),
    (codec.PARTNER, records.PARTNER),
    (codec.PAYLOAD, records.PAYLOAD),
    (codec.CREDENTIAL, records.CREDENTIAL),
    (codec.CREDENTIAL_REQUEST, records.CREDENTIAL_REQUEST),
    (codec.SHOWN, records.SHOWN),
    (codec.OUTGOING, records.a_message()),
    (codec.TIMER, records.TIMER),
]


def there_and_back(kind: codec.Codec[Any], record: object) -> object:
    values = kind.write(record)
    return kind.read(tuple(values[name] for name in kind.columns))


@pytest.mark.parametrize(("kind", "record"), KINDS, ids=[kind.kind for kind, _ in KINDS])
def test_a_record_comes_back_as_it_was(kind: codec.Codec[Any], record: object) -> None:
    assert there_and_back(kind, record) == record
    assert set(kind.write(record)) == set(kind.columns)


def test_a_new_process_without_anything_optional_comes_back() -> None:
    bare: dict[str, Any] = {"callbacks": (), "history": (), "error": None, "peer_pid": None}
    negotiation = records.a_negotiation(
        process=NegotiationProcess(Role.CONSUMER), asked=None, agreement_id=None, transfer_format=None, **bare
    )
    assert there_and_back(codec.NEGOTIATION, negotiation) == negotiation
    process = TransferProcess(Role.CONSUMER).send(transfer.Event.REQUEST, "m")
    record = records.a_transfer(process=process, destination=None, **bare)
    assert there_and_back(codec.TRANSFER, record) == record


def test_types_of_right_operands_survive() -> None:
    right = codec.policy_from(codec.policy_text(records.POLICY)).permission[0].constraints[0]
    assert repr(right) == repr(records.POLICY.permission[0].constraints[0])


def test_equal_policies_are_parsed_once() -> None:
    assert codec.policy_from(codec.policy_text(records.POLICY)) is codec.policy_from(codec.policy_text(records.POLICY))
    assert codec.policy_from(codec.policy_text(Policy())) == Policy()


def test_a_pending_message_shows_in_the_state_that_queries_see() -> None:
    assert codec.NEGOTIATION.write(records.a_negotiation())["state"] == 825
    assert codec.TRANSFER.write(records.a_transfer())["state"] == 500


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(Invalid, match="kept as JSON"):
        codec.ASSET.write(Asset("a", 1, {"https://x.example/n": 2**70}))
    with pytest.raises(Invalid, match="kept as JSON"):
        codec.ASSET.write(Asset("a", 1, {"https://x.example/n": object()}))
