"""What leaves of a passport: lattice, agreement and schema, each with the power to take away and none to add.

The agreement says on which contract definition it was made; the definition says for which audience and purpose it
offers, and which classes it opens; the lattice says what such a reader may have at all; the class map and the schema
say what the passport has of it. Whoever has an agreement on a definition that says nothing of this, or on one that is
not there any more, gets what everybody may see.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from connector.exchange.offer_ids import definition_of
from connector.exchange.passport_records import PassportVersion
from connector.exchange.ports import Notary, Seal, Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import ContractDefinition
from connector.exchange.terms import groups_of
from connector.passport import credential
from connector.passport.audiences import EVERYBODY, Reading, lattice
from connector.passport.disclosure import class_map
from connector.passport.sdjwt import SdJwt
from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import EDC

AUDIENCE: Final = f"{EDC}audience"
PURPOSE: Final = f"{EDC}purpose"
BATTERY: Final = f"{EDC}battery"
CLASSES: Final = f"{EDC}disclosureClasses"
"""The private properties of a contract definition that say who reads under it, and what."""


@dataclass(frozen=True, slots=True)
class View:
    """A version of a passport for one reader: the plain aspect under a seal, and the presentation, not yet bound."""

    version: PassportVersion
    classes: frozenset[str]
    seal: Seal = field(repr=False)
    presentation: SdJwt = field(repr=False)


def private_properties(reading: Reading) -> dict[str, Any]:
    """How a contract definition says for whom it is."""
    said: dict[str, Any] = {AUDIENCE: reading.audience, PURPOSE: reading.purpose}
    if reading.battery is not None:
        said[BATTERY] = reading.battery
    if reading.classes is not None:
        said[CLASSES] = sorted(reading.classes)
    return said


def reading_by(definition: ContractDefinition) -> Reading:
    """For whom a contract definition is; everybody, if it does not say it in a way we understand."""
    said = definition.private_properties
    audience, purpose, battery = said.get(AUDIENCE), said.get(PURPOSE, ""), said.get(BATTERY)
    classes = said.get(CLASSES)
    if not isinstance(audience, str) or not isinstance(purpose, str) or not isinstance(battery, str | None):
        return EVERYBODY
    if classes is None:
        return Reading(audience, purpose, battery)
    named = classes if isinstance(classes, list) else [classes]
    return Reading(audience, purpose, battery, frozenset(name for name in named if isinstance(name, str)))


def reading_under(tx: Tx, agreement_id: str, bpn: str | None) -> Reading:
    """Who reads under an agreement: what the definition says that it was made on, while that offers to this partner.

    An offer's id is the consumer's word when it makes a counter-offer, so the definition must be one it could choose.
    """
    agreement = tx.agreements.find(agreement_id)
    negotiation = None if agreement is None else tx.negotiations.find(agreement.negotiation_id)
    named = None if negotiation is None else definition_of(negotiation.offer.id or "")
    if agreement is None or named is None or named[1] != agreement.asset_id:
        return EVERYBODY
    offering = tx.offers.find(agreement.asset_id, bpn, groups_of(tx, agreement.consumer_id, bpn))
    definitions = offering.definitions if offering is not None else ()
    return next((reading_by(definition) for definition in definitions if definition.id == named[0]), EVERYBODY)


def newest(tx: Tx, passport_id: str) -> PassportVersion | None:
    """The version that counts, or None if the passport was never published here."""
    criteria = (Criterion("passportId", "=", passport_id),)
    found = tx.passports.query(QuerySpec(limit=1, sort_field="number", descending=True, criteria=criteria))
    return found[0] if found else None


def view_of(notary: Notary, version: PassportVersion, reading: Reading) -> View:
    """What a reader sees of a version. Raise Invalid if that does not fit the aspect model; then nothing leaves."""
    known = class_map()
    if version.semantic_id != known.aspect:
        raise Invalid(f"there is no map of disclosure classes for {version.semantic_id}")
    classes = lattice().classes(reading, version.passport_id)
    seal = notary.seal_view(version.semantic_id, known.project(version.passport, classes), classes)
    return View(version, classes, seal, credential.present(version.issued, known, classes))
