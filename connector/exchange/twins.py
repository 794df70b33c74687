"""The node's own registry of digital twins: its calls carried out, and published passports announced in it.

Partners come to it through the data plane, under a contract on the asset `digital-twin-registry`, which is made with
the first twin and offered on open terms: everybody may ask, and each sees what is meant for it (`twins.visibility`).
Asset, policy and definition are made once and never touched again, so an operator can change or remove them.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from typing_extensions import override

from connector.exchange.ports import Twin, TwinRegistry, Tx
from connector.exchange.query import Criterion
from connector.exchange.records import Asset, ContractDefinition, Happened, PolicyDefinition
from connector.policy.audience import audience
from connector.policy.model import Policy, Rule
from connector.protocol.errors import PeerError
from connector.protocol.reading import at, items
from connector.protocol.vocabulary import DCT, EDC
from connector.twins.calls import PROFILES, Call, Op, Reply, links_json, page
from connector.twins.shell import PUBLISHED_NAMES, RegisteredShell, Shell, SpecificAssetId, Submodel
from connector.twins.visibility import Reader, seen

REGISTRY: Final = "digital-twin-registry"
"""Id of the asset, and of policy and definition that offer it."""
TWIN_REGISTRY: Final = "TwinRegistry"
"""`dataAddress.type` of that asset."""
REGISTRY_TYPE: Final = "https://w3id.org/catenax/taxonomy#DigitalTwinRegistry"
INTERFACES: Final = {"SUBMODEL-3.0": "/submodel", "SUBMODEL-VALUE-3.1": "/submodel/$value"}
"""Both spellings of the standard; clients look for one of them."""
_VERSION: Final = "https://w3id.org/catenax/ontology/common#version"
_NOT_IN_SHORT_IDS: Final = re.compile("[^A-Za-z0-9_]")
_SHORT_ID: Final = 128


@dataclass(frozen=True, slots=True)
class OwnRegistry(TwinRegistry):
    """Announces passports. dsp_root: where to negotiate, without a version; data_url: where tokens are used."""

    dsp_root: str
    data_url: str

    @override
    def register(self, tx: Tx, twin: Twin, now: int) -> None:
        """From now on the policies of this publication decide who finds the twin, and no earlier ones.

        What the operator has added by hand is kept: ids of other names, submodels, members of the descriptor, and the
        subjects of an id under its name. They are for the operator to take away, with the calls of the registry.
        """
        ident = twin_id(twin.passport_id)
        before = tx.twins.find(ident)
        for guard in twin.policies:
            if not tx.twins.guards(guard.id):
                tx.twins.guard(guard.id, audience(guard.policy))
        policies = tuple(guard.id for guard in twin.policies)
        if before is None:
            add_shell(tx, self._shell(ident, twin), now, policies)
        else:
            shell = _renewed(before.shell, self._shell(ident, twin))
            tx.twins.save(replace(before, shell=shell, policies=policies))

    @override
    def withdraw(self, tx: Tx, passport_id: str) -> None:
        if tx.twins.find(twin_id(passport_id)) is not None:
            tx.twins.delete(twin_id(passport_id))

    def _shell(self, ident: str, twin: Twin) -> Shell:
        values = twin.manufacturer, twin.model, twin.serial, "PartInstance"
        named = zip(PUBLISHED_NAMES, values, strict=True)
        return Shell(
            ident,
            twin.passport_id,
            tuple(SpecificAssetId(name, value) for name, value in named if value),
            tuple(self._submodel(twin, semantic_id) for semantic_id in twin.semantic_ids),
            {"idShort": f"Battery_{_NOT_IN_SHORT_IDS.sub('_', twin.serial)}"[:_SHORT_ID], "assetKind": "Instance"},
        )

    def _submodel(self, twin: Twin, semantic_id: str) -> Submodel:
        aspect = semantic_id.rpartition("#")[2]
        ident = _submodel_id(twin_id(twin.passport_id), semantic_id)
        semantics = {"type": "ExternalReference", "keys": [{"type": "GlobalReference", "value": semantic_id}]}
        doc = {
            "id": ident,
            "idShort": aspect[:1].lower() + aspect[1:],
            "semanticId": semantics,
            "endpoints": [self._endpoint(twin, interface, path) for interface, path in INTERFACES.items()],
        }
        return Submodel(ident, doc)

    def _endpoint(self, twin: Twin, interface: str, path: str) -> dict[str, Any]:
        return {
            "interface": interface,
            "protocolInformation": {
                "href": self.data_url + path,
                "endpointProtocol": "HTTP",
                "endpointProtocolVersion": ["1.1"],
                "subprotocol": "DSP",
                "subprotocolBody": f"id={twin.asset_id};dspEndpoint={self.dsp_root}",
                "subprotocolBodyEncoding": "plain",
                "securityAttributes": [{"type": "NONE", "key": "NONE", "value": "NONE"}],
            },
        }


def twin_id(passport_id: str) -> str:
    """The id of a passport's shell: always the same, and another one than the passport's."""
    return uuid5(NAMESPACE_URL, f"urn:aas:shell:{passport_id}").urn


def _submodel_id(twin: str, semantic_id: str) -> str:
    return uuid5(NAMESPACE_URL, f"{twin}/{semantic_id}").urn


def _renewed(before: Shell, after: Shell) -> Shell:
    """A descriptor with what a publication makes of it now, and what was added to it by hand."""
    subjects: dict[str, tuple[str, ...]] = {}
    for old in before.specific_asset_ids:
        subjects[old.name] = tuple(dict.fromkeys([*subjects.get(old.name, ()), *old.subjects]))
    ids = [replace(new, subjects=subjects.get(new.name, ())) for new in after.specific_asset_ids]
    made = {submodel.id for submodel in after.submodels}
    made |= {_submodel_id(after.id, name) for submodel in before.submodels for name in submodel.semantic_ids}
    return replace(
        after,
        specific_asset_ids=(*ids, *(old for old in before.specific_asset_ids if old.name not in PUBLISHED_NAMES)),
        submodels=(*after.submodels, *(old for old in before.submodels if old.id not in made)),
        rest={**before.rest, **after.rest},
    )


def add_shell(tx: Tx, shell: Shell, now: int, policies: tuple[str, ...] = ()) -> None:
    """Keep a new shell, and offer the registry if it never was. Raise Conflict if the id is taken."""
    tx.twins.add(RegisteredShell(shell.id, now, shell, policies))
    if tx.assets.find(REGISTRY) is None:
        _offer(tx, now)


def _offer(tx: Tx, now: int) -> None:
    asset = Asset(
        REGISTRY,
        now,
        {f"{DCT}type": {"@id": REGISTRY_TYPE}, _VERSION: "3.1", "asset:prop:type": "data.core.digitalTwinRegistry"},
        data_address={"type": TWIN_REGISTRY},
    )
    tx.assets.add(asset)
    tx.offers.put_asset(asset)
    tx.emit(Happened("asset.created", now, asset))
    if tx.policies.find(REGISTRY) is None:
        policy = PolicyDefinition(REGISTRY, now, Policy(permission=(Rule("use"),)))
        tx.policies.add(policy)
        tx.emit(Happened("policy.definition.created", now, policy))
    if tx.definitions.find(REGISTRY) is None:
        offered = (Criterion(f"{EDC}id", "=", REGISTRY),)
        definition = ContractDefinition(REGISTRY, now, REGISTRY, REGISTRY, offered)
        tx.definitions.add(definition)
        tx.offers.put_definition(definition, audience(tx.policies.get(REGISTRY).policy))
        tx.emit(Happened("contract.definition.created", now, definition))


def carry_out(tx: Tx, call: Call, reader: Reader, now: int) -> Reply:
    """Answer a call. Raise PeerError 400 or 404, Conflict; what the reader cannot see is answered as if it were not."""
    match call.op:
        case Op.DESCRIBE:
            return Reply(200, {"profiles": list(PROFILES)})
        case Op.LIST | Op.FIND:
            return _search(tx, call, reader)
        case Op.CREATE:
            shell = Shell.parse(call.body)
            add_shell(tx, shell, now)
            return Reply(201, shell.to_json())
        case Op.PUT:
            return _put(tx, call, now)
    return _about(tx, call, reader)


def _about(tx: Tx, call: Call, reader: Reader) -> Reply:
    """Answer a call about a shell that must be there."""
    kept = tx.twins.find(call.shell)
    shown = None if kept is None else seen(kept, reader)
    if kept is None or shown is None:
        raise PeerError(404, "there is no such shell")
    if call.op in _READS:
        return _read(call, shown)
    if call.op is Op.DELETE:
        tx.twins.delete(kept.id)
        return Reply(204)
    after, reply = _changed(call, kept.shell)
    tx.twins.save(replace(kept, shell=after))
    return reply


_READS: Final = frozenset({Op.GET, Op.GET_LINKS, Op.LIST_SUBMODELS, Op.GET_SUBMODEL})


def _search(tx: Tx, call: Call, reader: Reader) -> Reply:
    found = tx.twins.search(reader, call.links, after=call.after, limit=call.limit + 1)
    shells = [shell for kept in found[: call.limit] if (shell := seen(kept, reader)) is not None]
    last = found[call.limit - 1].id if len(found) > call.limit else None
    return page([shell.to_json() if call.op is Op.LIST else shell.id for shell in shells], last=last)


def _put(tx: Tx, call: Call, now: int) -> Reply:
    shell = Shell.parse(call.body)
    if shell.id != call.shell:
        raise PeerError(400, "the id in the body is not the one in the path", "/id")
    before = tx.twins.find(shell.id)
    if before is None:
        add_shell(tx, shell, now)
        return Reply(201, shell.to_json())
    tx.twins.save(replace(before, shell=shell))
    return Reply(204)


def _read(call: Call, shell: Shell) -> Reply:
    if call.op is Op.GET:
        return Reply(200, shell.to_json())
    if call.op is Op.GET_LINKS:
        return Reply(200, links_json(shell))
    if call.op is Op.GET_SUBMODEL:
        return Reply(200, dict(_submodel(shell, call.submodel).doc))
    behind = sorted((s for s in shell.submodels if s.id > call.after), key=lambda s: s.id)
    last = behind[call.limit - 1].id if len(behind) > call.limit else None
    return page([dict(submodel.doc) for submodel in behind[: call.limit]], last=last)


def _submodel(shell: Shell, ident: str) -> Submodel:
    found = shell.submodel(ident)
    if found is None:
        raise PeerError(404, "this shell has no such submodel")
    return found


def _changed(call: Call, shell: Shell) -> tuple[Shell, Reply]:
    """A shell after one of its parts was changed, and the answer."""
    if call.op is Op.DELETE_LINKS:
        return replace(shell, specific_asset_ids=()), Reply(204)
    if call.op is Op.PUT_LINKS:
        rows = [SpecificAssetId.parse(row, at("", i)) for i, (row, _) in enumerate(items({"": call.body}, ""))]
        names = {row.name for row in rows}
        kept = tuple(i for i in shell.specific_asset_ids if i.name not in names)
        after = replace(shell, specific_asset_ids=(*kept, *rows))
        return after, Reply(201, links_json(after))
    if call.op is Op.DELETE_SUBMODEL:
        gone = _submodel(shell, call.submodel)
        return replace(shell, submodels=tuple(s for s in shell.submodels if s is not gone)), Reply(204)
    submodel = Submodel.parse(call.body)
    if call.op is Op.CREATE_SUBMODEL:
        if shell.submodel(submodel.id) is not None:
            raise PeerError(409, "this shell has a submodel of this id", "/id")
        return replace(shell, submodels=(*shell.submodels, submodel)), Reply(201, dict(submodel.doc))
    if submodel.id != call.submodel:
        raise PeerError(400, "the id in the body is not the one in the path", "/id")
    others = tuple(s for s in shell.submodels if s.id != submodel.id)
    fresh = len(others) == len(shell.submodels)
    return replace(shell, submodels=(*others, submodel)), Reply(201, dict(submodel.doc)) if fresh else Reply(204)
