"""Who finds the twin of a published passport: whom an access policy of its last publication permits, when it asks."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from connector.exchange.ports import Store, Twin, Tx
from connector.exchange.records import BusinessPartner, PolicyDefinition
from connector.exchange.twin_readers import reader_of
from connector.exchange.twins import OwnRegistry, carry_out, twin_id
from connector.policy.audience import audience
from connector.policy.circumstances import ProvenCredential
from connector.policy.parse import parse_policy
from connector.protocol.errors import PeerError
from connector.storage.sqlite import SqliteStore
from connector.twins.calls import Op, read_call, write_id
from connector.twins.rules import PUBLIC_READABLE
from connector.twins.shell import PUBLISHED_NAMES, Shell
from connector.twins.visibility import OWNER

NOW = 1_790_000_000_000
MAY = "2027-05-01T00:00:00Z"
OEM, RECYCLER = "BPNL000AURELIS01", "BPNL00RECYCLER01"
DID = "did:web:reader.example"
PASSPORT = "urn:uuid:7d0f3a52-6a0e-4c5b-9f58-2b6f1c1f7a01"
MEMBER = ProvenCredential("c", ("MembershipCredential",), "did:web:issuer.example", {"holderIdentifier": OEM}, None)
REGISTRY = OwnRegistry("https://maker.example/api/v1/dsp", "https://maker.example/public")


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await SqliteStore.open()
    yield opened
    await opened.close()


def asking(left: str, operator: str, right: object) -> dict[str, Any]:
    constraint = {"leftOperand": left, "operator": operator, "rightOperand": right}
    return {"permission": [{"action": "use", "constraint": [constraint]}]}


ONLY_OEM = asking("BusinessPartnerNumber", "isAnyOf", [OEM])
MEMBERS = asking("Membership", "eq", "active")
REPAIRERS = asking("BusinessPartnerGroup", "isAnyOf", ["repairers"])
UNTIL_MAY = asking("https://w3id.org/edc/v0.0.1/ns/inForceDate", "lt", MAY)
OPEN: dict[str, Any] = {"permission": [{"action": "use"}]}


def policy(name: str, doc: dict[str, Any]) -> PolicyDefinition:
    return PolicyDefinition(name, NOW, parse_policy(doc))


def announce(tx: Tx, *policies: PolicyDefinition, model: str = "HV-E78") -> None:
    for definition in policies:
        if tx.policies.find(definition.id) is None:
            tx.policies.add(definition)
    twin = Twin(PASSPORT, PASSPORT, "4711", model, "BPNL000HELVION01", ("urn:samm:m:1.0.0#BatteryPass",), policies)
    REGISTRY.register(tx, twin, NOW)


def found(
    tx: Tx, bpn: str | None = OEM, *credentials: ProvenCredential, now: int = NOW, participant: str = DID
) -> list[str]:
    """What a reader finds by the serial number, at that moment."""
    reader = reader_of(tx, participant, bpn, credentials, now)
    call = read_call(
        "POST", "/lookup/shellsByAssetLink", "", [{"name": "partInstanceId", "value": "4711"}], owner=False
    )
    doc = carry_out(tx, call, reader, now).doc
    assert isinstance(doc, dict)
    return list(doc["result"])


FOUND = [twin_id(PASSPORT)]


def shown(tx: Tx, bpn: str | None = OEM, *credentials: ProvenCredential) -> dict[str, Any]:
    call = read_call("GET", f"/shell-descriptors/{write_id(twin_id(PASSPORT))}", "", None, owner=False)
    doc = carry_out(tx, call, reader_of(tx, DID, bpn, credentials, NOW), NOW).doc
    assert isinstance(doc, dict)
    return doc


async def test_the_partners_that_a_policy_names_find_the_twin_and_nobody_else(store: Store) -> None:
    def tx(tx: Tx) -> None:
        announce(tx, policy("oem", ONLY_OEM))
        assert found(tx) == FOUND
        assert found(tx, RECYCLER) == found(tx, None) == found(tx, "group:repairers") == []

    await store.run(tx)


async def test_who_is_in_a_group_finds_it_at_once_and_who_has_left_does_not(store: Store) -> None:
    def tx(tx: Tx) -> None:
        announce(tx, policy("repairers", REPAIRERS))
        assert found(tx) == []
        tx.partners.add(BusinessPartner(OEM, NOW, ("repairers",)))
        assert found(tx) == FOUND
        assert "repairers" not in str(shown(tx))
        assert {k["value"] for i in shown(tx)["specificAssetIds"] for k in i["externalSubjectId"]["keys"]} == {OEM}
        tx.partners.save(BusinessPartner(OEM, NOW, ("dealers",)))
        assert found(tx) == []
        tx.partners.add(BusinessPartner(DID, NOW, ("repairers",)))  # by its participant id, without a number
        assert found(tx, None) == FOUND
        assert all("externalSubjectId" not in i for i in shown(tx, None)["specificAssetIds"])

    await store.run(tx)


async def test_a_policy_without_partners_is_judged_by_what_a_reader_has_proven(store: Store) -> None:
    def tx(tx: Tx) -> None:
        announce(tx, policy("members", MEMBERS))
        assert found(tx) == []
        assert found(tx, OEM, MEMBER) == found(tx, None, MEMBER) == FOUND
        assert PUBLIC_READABLE not in str(shown(tx, OEM, MEMBER))

    await store.run(tx)


async def test_a_policy_with_a_date_is_judged_at_the_moment_of_asking(store: Store) -> None:
    def tx(tx: Tx) -> None:
        announce(tx, policy("until-may", UNTIL_MAY))
        assert found(tx) == FOUND
        assert found(tx, now=NOW + 400 * 86_400_000) == []

    await store.run(tx)


async def test_an_operator_opens_a_twin_to_all_by_a_policy_without_conditions(store: Store) -> None:
    def tx(tx: Tx) -> None:
        announce(tx)
        assert found(tx) == found(tx, None) == []
        announce(tx, policy("open", OPEN))
        assert found(tx) == found(tx, None) == FOUND

    await store.run(tx)


async def test_a_policy_that_is_changed_or_removed_counts_as_it_is_now(store: Store) -> None:
    def tx(tx: Tx) -> None:
        announce(tx, policy("p", ONLY_OEM))
        for doc, finders in ((REPAIRERS, []), (asking("BusinessPartnerNumber", "eq", RECYCLER), [RECYCLER])):
            after = policy("p", doc)
            tx.policies.save(after)
            tx.twins.guard("p", audience(after.policy))
            assert [bpn for bpn in (OEM, RECYCLER) if found(tx, bpn)] == finders
        impossible = asking("BusinessPartnerNumber", "isAllOf", [OEM, RECYCLER])
        tx.twins.guard("p", audience(parse_policy(impossible)))
        assert tx.twins.guards("p")  # nobody can satisfy it, and it is remembered
        tx.policies.delete("p")
        assert not tx.twins.guards("p")
        assert found(tx) == found(tx, RECYCLER) == []

    await store.run(tx)


async def test_published_again_it_is_for_its_new_readers_and_for_those_named_by_hand(store: Store) -> None:
    def tx(tx: Tx) -> None:
        announce(tx, policy("oem", ONLY_OEM))
        recycler = policy("recycler", asking("BusinessPartnerNumber", "isAnyOf", [RECYCLER]))
        announce(tx, recycler, model="HV-E79")
        assert found(tx) == []
        assert found(tx, RECYCLER) == FOUND
        by_hand(tx)
        assert found(tx) == FOUND
        announce(tx, recycler, model="HV-E80")
        assert found(tx) == found(tx, RECYCLER) == FOUND
        after = kept(tx)
        assert [(i.name, i.value) for i in after.specific_asset_ids] == [
            *zip(PUBLISHED_NAMES, ("BPNL000HELVION01", "HV-E80", "4711", "PartInstance"), strict=True),
            ("customerPartId", "A-1"),
        ]
        assert [s.id for s in after.submodels][1:] == ["urn:uuid:by-hand"]
        assert (after.rest["description"], after.rest["idShort"]) == ([], "Battery_4711")
        announce(tx)
        assert found(tx, RECYCLER) == []

    await store.run(tx)


def kept(tx: Tx) -> Shell:
    return tx.twins.get(twin_id(PASSPORT)).shell


def by_hand(tx: Tx) -> None:
    """The operator adds a reader of the serial number, an id, a submodel and a member."""
    doc = kept(tx).to_json()
    subject = {"type": "ExternalReference", "keys": [{"type": "GlobalReference", "value": OEM}]}
    next(i for i in doc["specificAssetIds"] if i["name"] == "partInstanceId")["externalSubjectId"] = subject
    doc["specificAssetIds"].append({"name": "customerPartId", "value": "A-1"})
    doc["submodelDescriptors"].append({"id": "urn:uuid:by-hand"})
    doc["description"] = []
    call = read_call("PUT", f"/shell-descriptors/{write_id(doc['id'])}", "", doc, owner=True)
    assert call.op is Op.PUT
    carry_out(tx, call, OWNER, NOW)


async def test_the_calls_of_the_owner_leave_the_readers_of_a_publication(store: Store) -> None:
    def tx(tx: Tx) -> None:
        announce(tx, policy("oem", ONLY_OEM))
        by_hand(tx)
        assert tx.twins.get(twin_id(PASSPORT)).policies == ("oem",)
        carry_out(tx, read_call("DELETE", f"/lookup/shells/{write_id(FOUND[0])}", "", None, owner=True), OWNER, NOW)
        assert found(tx) == []  # there is no serial number any more
        assert shown(tx)["specificAssetIds"] == []
        with pytest.raises(PeerError):
            shown(tx, RECYCLER)

    await store.run(tx)
