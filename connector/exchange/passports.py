"""Publishing a passport: checked, complete, classified, signed, kept as a new version, announced and offered.

Keeping, announcing and offering is one transaction; if anything is wrong, nothing has happened. A version is never
overwritten: who publishes a passport again makes the next one, which names the one before. A passport that has not
changed, nor the map of its disclosure classes, nor the key that signs, stays the version it is, and only its offers are
brought up to date.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final

from connector.exchange.makers import announce
from connector.exchange.node import Node
from connector.exchange.passport_records import PassportVersion, version_id
from connector.exchange.passport_views import newest, private_properties
from connector.exchange.ports import Twin, Tx
from connector.exchange.publish import put_definition
from connector.exchange.query import Criterion
from connector.exchange.records import SEMANTIC_ID, Asset, ContractDefinition, Happened
from connector.passport.audiences import Reading, lattice
from connector.passport.canonical import canonical
from connector.passport.completeness import Completeness, completeness_table
from connector.passport.credential import About
from connector.passport.disclosure import class_map
from connector.passport.names import urn_of
from connector.passport.sdjwt import digest_of
from connector.protocol.errors import Conflict, Invalid
from connector.protocol.vocabulary import EDC

BATTERY_PASSPORT: Final = "BatteryPassport"
"""`dataAddress.type` of an asset that is a passport."""
SERIAL: Final = f"{EDC}serialNumber"
MODEL: Final = f"{EDC}manufacturerPartId"
_TYPE: Final = "http://purl.org/dc/terms/type"
_SUBMODEL: Final = "https://w3id.org/catenax/taxonomy#Submodel"
_ASPECT_VERSION: Final = "https://w3id.org/catenax/ontology/common#version"
_SEPARATOR: Final = re.compile(r"[;=#|\s]")
"""Ends an id in a twin's `subprotocolBody` (`id=..;dspEndpoint=..`), or in the id of a version or contract definition.

The delivered aspect model has no such identifiers; that of an operator who brings a model of their own may.
"""
_ATTEMPTS: Final = 16
"""More than there are replicas: each that is in vain is one in which another replica has published."""
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class PassportOffer:
    """For whom a passport is, and on which terms: ids of policies of this node."""

    reading: Reading
    access_policy_id: str
    contract_policy_id: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What a passport's battery is called; `passport_id` is a URN, and the id of the asset too."""

    passport_id: str
    serial: str
    model: str
    manufacturer: str

    @classmethod
    def of(cls, passport: Mapping[str, Any]) -> "Identity":
        """Read a passport that fits its aspect model. The serial number is the part instance's id, or else the code.

        Raise Invalid if its identifier cannot be told from what stands beside it in a twin or in our ids.
        """
        named = passport["identification"]["identification"]
        parts = {entry["key"]: entry["value"] for entry in named.get("serial", [])}
        ident = passport["metadata"]["passportIdentifier"]
        if found := _SEPARATOR.search(ident):
            reason = f"an identifier with {found[0]!r} cannot be told from what stands beside it: use a UUID"
            raise Invalid(reason, "/metadata/passportIdentifier")
        return cls(
            urn_of(ident),
            parts.get("partInstanceId") or passport["identification"]["idDmc"],
            named["type"]["manufacturerPartId"],
            passport["operation"]["manufacturer"]["manufacturer"],
        )


@dataclass(frozen=True, slots=True)
class Published:
    """What came of it: `new` tells whether there is a new version; `definitions` are the ids of what offers it."""

    version: PassportVersion
    new: bool
    completeness: Completeness
    definitions: tuple[str, ...]


async def publish_passport(
    node: Node,
    passport: Any,  # noqa: ANN401 - any JSON
    offers: Sequence[PassportOffer] = (),
    *,
    on: date | None = None,
) -> Published:
    """Publish a passport, or its next version.

    on: the day at which it has to be complete, today if left out. Raise Invalid with the JSON pointer of the first
    fault below /passport or /offers, or with all that is missing; Conflict if the id of its asset is that of something
    else, or other replicas publish it without end.
    """
    try:
        node.notary.check(class_map().aspect, passport)
        complete = completeness_table().judge(
            passport, on or datetime.fromtimestamp(node.clock.now() / 1000, UTC).date()
        )
        _require(complete)
        identity = Identity.of(passport)
        published = await _published(node, passport, _of_one(identity, offers), complete)
        if published.definitions:
            await announce(node.makers, identity.model)
    except Invalid as fault:
        inside = not fault.pointer.startswith("/offers")
        raise Invalid(fault.reason, f"/passport{fault.pointer}" if inside else fault.pointer, fault.value) from fault
    return published


async def _published(
    node: Node, passport: Mapping[str, Any], offers: Sequence[PassportOffer], complete: Completeness
) -> Published:
    """The next version, after those of this passport that were to be published before; none of them is lost.

    Within this process they wait for each other, so what comes first at the store is another replica's work.
    """
    async with node.publications.of(Identity.of(passport).passport_id):
        for _ in range(_ATTEMPTS):
            if (published := await _attempt(node, passport, offers, complete)) is not None:
                return published
    raise Conflict("other replicas keep publishing versions of this passport: try again")


def _of_one(identity: Identity, offers: Sequence[PassportOffer]) -> list[PassportOffer]:
    """The offers, each limited to this one battery, as the definitions made of them are."""
    limited = [replace(offer, reading=replace(offer.reading, battery=identity.passport_id)) for offer in offers]
    for number, offer in enumerate(limited):
        try:
            lattice().check(offer.reading)
        except Invalid as fault:
            raise Invalid(fault.reason, f"/offers/{number}") from None
    return limited


def _require(complete: Completeness) -> None:
    if missing := complete.missing:
        shown = "; ".join(f"{p.row.number} {p.row.name} ({', '.join(p.missing)})" for p in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise Invalid(
            f"the passport of this {complete.category} battery is not complete at {complete.day}: {shown}{more}",
            missing[0].missing[0],
        )


async def _attempt(
    node: Node, passport: Mapping[str, Any], offers: Sequence[PassportOffer], complete: Completeness
) -> Published | None:
    """Sign what would be the next version and keep it; None if another one came first."""
    identity = Identity.of(passport)
    before = await node.store.read(lambda tx: newest(tx, identity.passport_id))
    same = before is not None and _stays(node, before, passport)
    version = before if before is not None and same else _signed(node, passport, identity, before, complete)

    def tx(tx: Tx) -> Published | None:
        latest = newest(tx, identity.passport_id)
        if (latest and latest.id) != (before and before.id):
            return None
        if not same:
            tx.passports.add(version)
        announced = before is not None and tx.assets.find(identity.passport_id) is not None
        _put_asset(node, tx, identity, version)
        definitions = tuple(_offer(node, tx, identity, offer, number) for number, offer in enumerate(offers))
        if node.twins is not None and (offers or not announced):
            node.twins.register(tx, _twin(tx, identity, version, offers), node.clock.now())
        return Published(version, not same, complete, definitions)

    return await node.store.run(tx)


def _stays(node: Node, version: PassportVersion, passport: Mapping[str, Any]) -> bool:
    """Whether a version is this very passport, in the groups of today's class map, signed with today's key.

    A former key proves what it signed only while our DID document publishes it; who publishes again relies on today's.
    """
    if version.body != canonical(passport):
        return False
    issued = version.issued
    return issued.class_map == class_map().edition and issued.kid == node.notary.kid


def _signed(
    node: Node, passport: Mapping[str, Any], identity: Identity, before: PassportVersion | None, complete: Completeness
) -> PassportVersion:
    known, now = class_map(), node.clock.now()
    number = 1 if before is None else before.number + 1
    about = About(
        passport_id=identity.passport_id,
        aspect=known.aspect,
        version=number,
        issued_s=now // 1000,
        class_map=known.edition,
        completeness=complete.edition,
        supersedes=None if before is None else digest_of(before.credential),
    )
    body, issued = node.notary.issue(passport, about)
    return PassportVersion(
        id=version_id(identity.passport_id, number),
        created_at=now,
        passport_id=identity.passport_id,
        number=number,
        serial=identity.serial,
        semantic_id=known.aspect,
        body=body,
        credential=issued.jwt,
        disclosures=tuple(disclosure.encoded for disclosure in issued.disclosures),
    )


def _put_asset(node: Node, tx: Tx, identity: Identity, version: PassportVersion) -> None:
    """The asset shows in catalogs what is on the battery, and nothing else of the passport."""
    asset = Asset(
        id=identity.passport_id,
        created_at=node.clock.now(),
        properties={
            _TYPE: {"@id": _SUBMODEL},
            _ASPECT_VERSION: "3.0",
            SEMANTIC_ID: {"@id": version.semantic_id},
            SERIAL: identity.serial,
            MODEL: identity.model,
        },
        data_address={"type": BATTERY_PASSPORT},
    )
    before = tx.assets.find(asset.id)
    if before is None:
        tx.assets.add(asset)
    elif before.data_address.get("type") != BATTERY_PASSPORT:
        raise Conflict(f"the asset {asset.id} is something else than a passport: remove it first")
    else:
        asset = replace(asset, created_at=before.created_at, private_properties=before.private_properties)
        tx.assets.save(asset)
    tx.offers.put_asset(asset)
    name = "asset.created" if before is None else "asset.updated"
    tx.emit(Happened(name, node.clock.now(), asset))


def _offer(node: Node, tx: Tx, identity: Identity, offer: PassportOffer, number: int) -> str:
    reading = offer.reading
    parts = (identity.passport_id, reading.audience, reading.purpose, offer.access_policy_id, offer.contract_policy_id)
    definition = ContractDefinition(
        id="|".join(part for part in parts if part),
        created_at=node.clock.now(),
        access_policy_id=offer.access_policy_id,
        contract_policy_id=offer.contract_policy_id,
        selector=(Criterion(f"{EDC}id", "=", identity.passport_id),),
        private_properties=private_properties(reading),
    )
    try:
        put_definition(node, tx, definition)
    except Invalid as fault:
        raise Invalid(fault.reason, f"/offers/{number}{fault.pointer}", fault.value) from None
    return definition.id


def _twin(tx: Tx, identity: Identity, version: PassportVersion, offers: Sequence[PassportOffer]) -> Twin:
    """Who may see one of these offers may find the twin; nobody else."""
    return Twin(
        passport_id=identity.passport_id,
        asset_id=identity.passport_id,
        serial=identity.serial,
        model=identity.model,
        manufacturer=identity.manufacturer,
        semantic_ids=(version.semantic_id,),
        policies=tuple(tx.policies.get_many(offer.access_policy_id for offer in offers).values()),
    )
