"""The JSON-LD contexts that peers and management clients put on their documents, so that none is ever fetched.

Each is written here from the published list of its terms: the same terms with the same IRIs, in our own notation and
only as far as dataspace messages, policies and management requests use them. Sources: Dataspace Protocol 2025-1
(context and ODRL profile), W3C ODRL 2.2, EDC (management v0.0.1 and v2, dspace v0.0.1), Tractus-X, Catena-X CX-0152.

Three published slips are not repeated, because repeating them changes what a document means: W3C's context maps `neq`
to an IRI that ODRL does not define, Catena-X's own `context.jsonld` binds the prefix `odrl` to a file name (Tractus-X's
copy of it does not), and EDC's management v2 calls a CatalogRequest a DatasetRequest. Catena-X's and Tractus-X's copies
of `context.jsonld` differ in a few terms; ours has the terms of both.
"""

from collections.abc import Mapping
from typing import Any, Final

from connector.protocol.vocabulary import CONTEXT, DCAT, DCT, DSPACE, EDC, EDC_CONTEXT, ODRL, TX, TX_AUTH

Context = dict[str, Any]

CX_POLICY: Final = "https://w3id.org/catenax/2025/9/policy/"
CX_POLICY_LEGACY: Final = "https://w3id.org/catenax/policy/"
XSD: Final = "http://www.w3.org/2001/XMLSchema#"

PREFIXES: Final[Mapping[str, str]] = {
    "edc": EDC,
    "odrl": ODRL,
    "dspace": DSPACE,
    "dcat": DCAT,
    "dct": DCT,
    "tx": TX,
    "tx-auth": TX_AUTH,
    "cx-policy": CX_POLICY,
    "cx-common": "https://w3id.org/catenax/ontology/common#",
    "cx-taxo": "https://w3id.org/catenax/taxonomy#",
    "aas-semantics": "https://admin-shell.io/aas/3/0/HasSemantics/",
    "xsd": XSD,
}
"""What a prefix means in a management document that uses it without saying what it means."""

DSPACE_URL: Final = CONTEXT[0]
DSPACE_ODRL_URL: Final = "https://w3id.org/dspace/2025/1/odrl-profile.jsonld"
EDC_DSPACE_URL: Final = EDC_CONTEXT
EDC_URL: Final = "https://w3id.org/edc/v0.0.1"
EDC_MANAGEMENT_URL: Final = "https://w3id.org/edc/connector/management/v0.0.1"
EDC_MANAGEMENT_2_URL: Final = "https://w3id.org/edc/connector/management/v2"
ODRL_URL: Final = "http://www.w3.org/ns/odrl.jsonld"
CX_POLICY_URL: Final = "https://w3id.org/catenax/2025/9/policy/context.jsonld"
CX_ODRL_URL: Final = "https://w3id.org/catenax/2025/9/policy/odrl.jsonld"
TX_POLICY_URL: Final = "https://w3id.org/tractusx/policy/v1.0.0"
TX_AUTH_URL: Final = "https://w3id.org/tractusx/auth/v1.0.0"
TX_URL: Final = "https://w3id.org/tractusx/edc/v0.0.1"


def _terms(vocabulary: str, names: str, *, coerce: str = "", container: str = "") -> Context:
    """Define each of `names` (separated by blanks) as the term of that name in the vocabulary of a prefix."""
    extra = {k: v for k, v in (("@type", coerce), ("@container", container)) if v}
    return {name: {"@id": f"{vocabulary}:{name}", **extra} for name in names.split()}


def _scoped(prefix: str, name: str, *parts: Context, vocab: bool = False, odrl: bool = False) -> Context:
    """Define a class or member whose own terms hold only below it; `odrl`: the ODRL profile holds there too."""
    inner: Context = {"@vocab": EDC} if vocab else {}
    if odrl:
        inner |= {"@import": DSPACE_ODRL_URL, "@propagate": True}
    for part in parts:
        inner |= part
    return {name: {"@id": f"{prefix}:{name}", "@context": inner}}


_ODRL_PROFILE: Final[Context] = {
    "odrl": ODRL,
    **_terms("odrl", "Policy Agreement Assertion Offer Set Rule Permission Prohibition Duty Action Asset Constraint"),
    **_terms("odrl", "Operator LeftOperand RightOperand rightOperand prohibit use and or xone andSequence"),
    **_terms("odrl", "eq neq gt gteq lt lteq isA hasPart isPartOf isAllOf isAnyOf isNoneOf"),
    **_terms("odrl", "profile hasPolicy target assigner assignee", coerce="@id"),
    **_terms("odrl", "action operator leftOperand", coerce="@vocab"),
    **_terms("odrl", "permission prohibition obligation duty constraint", coerce="@id", container="@set"),
}

_ODRL_PREFIXES: Final[Context] = {
    "odrl": ODRL,
    "dct": DCT,
    "xsd": XSD,
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "schema": "http://schema.org/",
    "cc": "http://creativecommons.org/ns#",
}

_ODRL: Final[Context] = {
    **_ODRL_PREFIXES,
    "uid": "@id",
    "type": "@type",
    **_terms("odrl", "Policy Agreement Assertion Offer Privacy Request Set Ticket ConflictTerm perm prohibit invalid"),
    **_terms("odrl", "Rule Permission Prohibition Duty Action Asset AssetCollection Party PartyCollection PartyScope"),
    **_terms("odrl", "Constraint LogicalConstraint Operator LeftOperand RightOperand rightOperand unit status"),
    **_terms("odrl", "and or xone andSequence policyUsage"),
    **_terms("odrl", "eq neq gt gteq lt lteq isA hasPart isPartOf isAllOf isAnyOf isNoneOf"),
    # actions
    **_terms(
        "odrl", "use grantUse aggregate annotate anonymize archive concurrentUse derive digitize display distribute"
    ),
    **_terms("odrl", "execute extract give index install modify move play present print read reproduce sell stream"),
    **_terms("odrl", "textToSpeech transfer transform translate acceptTracking attribute compensate delete"),
    **_terms("odrl", "ensureExclusivity include inform nextPolicy obtainConsent reviewPolicy uninstall watermark"),
    # left operands
    **_terms("odrl", "absolutePosition absoluteSpatialPosition absoluteTemporalPosition absoluteSize count dateTime"),
    **_terms("odrl", "delayPeriod deliveryChannel elapsedTime event fileFormat language media meteredTime payAmount"),
    **_terms("odrl", "percentage product purpose recipient relativePosition relativeSpatialPosition relativeSize"),
    **_terms("odrl", "relativeTemporalPosition resolution spatial spatialCoordinates systemDevice timeInterval"),
    **_terms("odrl", "unitOfCount version virtualLocation"),
    # relations
    **_terms("odrl", "profile inheritFrom relation hasPolicy target output partOf source includedIn", coerce="@id"),
    **_terms("odrl", "assigner assignee assignerOf assigneeOf attributedParty attributingParty", coerce="@id"),
    **_terms("odrl", "compensatedParty compensatingParty consentingParty consentedParty informedParty", coerce="@id"),
    **_terms("odrl", "informingParty trackingParty trackedParty contractingParty contractedParty", coerce="@id"),
    **_terms("odrl", "permission prohibition obligation duty consequence remedy constraint refinement", coerce="@id"),
    **_terms("odrl", "implies", coerce="@id"),
    **_terms("odrl", "action operator leftOperand function conflict", coerce="@vocab"),
    **_terms("odrl", "rightOperandReference", coerce="xsd:anyURI"),
}

_PIDS: Final = _terms("dspace", "providerPid consumerPid", coerce="@id")
_PROTECTED: Final[Context] = {"@version": 1.1, "@protected": True}
_ERROR: Final[Context] = {**_terms("dspace", "code"), **_terms("dspace", "reason", container="@set")}
_STATE: Final = _terms("dspace", "state", coerce="@vocab")
_NEGOTIATION: Final[Context] = {**_PROTECTED, **_PIDS, **_terms("dspace", "offer", coerce="@id")}
_CALLBACK: Final = _terms("dspace", "callbackAddress")
_DATA_ADDRESS: Final = _terms("dspace", "dataAddress")
_FORMAT: Final = _terms("dct", "format", coerce="@vocab")
_DISTRIBUTION: Final = _terms("dcat", "distribution", container="@set")

_DSPACE: Final[Context] = {
    **_PROTECTED,
    "xsd": XSD,
    "dct": DCT,
    "dcat": DCAT,
    "odrl": ODRL,
    "dspace": DSPACE,
    **_terms("dspace", "REQUESTED OFFERED ACCEPTED AGREED VERIFIED FINALIZED STARTED SUSPENDED COMPLETED TERMINATED"),
    # catalog
    **_scoped("dspace", "CatalogRequestMessage", _PROTECTED, _terms("dspace", "filter", container="@set")),
    **_scoped("dspace", "DatasetRequestMessage", _PROTECTED, _terms("dspace", "dataset")),
    **_scoped("dspace", "CatalogError", _PROTECTED, _ERROR),
    **_scoped("dspace", "VersionsError", _PROTECTED, _ERROR),
    **_scoped(
        "dcat",
        "Catalog",
        _PROTECTED,
        _terms("dcat", "service catalog dataset distribution", container="@set"),
        _terms("dspace", "participantId", coerce="@id"),
    ),
    **_scoped("dcat", "Dataset", _PROTECTED, _DISTRIBUTION, _terms("odrl", "hasPolicy", container="@set"), odrl=True),
    **_scoped("dcat", "Distribution", _PROTECTED, _FORMAT, _terms("dcat", "accessService")),
    **_scoped("dcat", "DataService", _PROTECTED, _terms("dcat", "endpointURL endpointDescription")),
    # contract negotiation
    **_scoped("dspace", "ContractRequestMessage", _NEGOTIATION, _CALLBACK, odrl=True),
    **_scoped("dspace", "ContractOfferMessage", _NEGOTIATION, _CALLBACK, odrl=True),
    **_scoped(
        "dspace",
        "ContractAgreementMessage",
        _PROTECTED,
        _PIDS,
        _terms("dspace", "agreement", coerce="@id"),
        _terms("dspace", "timestamp"),
        odrl=True,
    ),
    **_scoped("dspace", "ContractAgreementVerificationMessage", _PROTECTED, _PIDS),
    **_scoped(
        "dspace",
        "ContractNegotiationEventMessage",
        _PROTECTED,
        _PIDS,
        _terms("dspace", "eventType", coerce="@vocab"),
    ),
    **_scoped("dspace", "ContractNegotiationTerminationMessage", _PROTECTED, _PIDS, _ERROR),
    **_scoped("dspace", "ContractNegotiation", _PROTECTED, _PIDS, _STATE),
    **_scoped("dspace", "ContractNegotiationError", _PROTECTED, _PIDS, _ERROR),
    # transfer process
    **_scoped(
        "dspace",
        "TransferRequestMessage",
        _PROTECTED,
        _CALLBACK,
        _DATA_ADDRESS,
        _FORMAT,
        _terms("dspace", "consumerPid agreementId", coerce="@id"),
    ),
    **_scoped("dspace", "TransferStartMessage", _PROTECTED, _PIDS, _DATA_ADDRESS),
    **_scoped("dspace", "TransferCompletionMessage", _PROTECTED, _PIDS),
    **_scoped("dspace", "TransferTerminationMessage", _PROTECTED, _PIDS, _ERROR),
    **_scoped("dspace", "TransferSuspensionMessage", _PROTECTED, _PIDS, _ERROR),
    **_scoped("dspace", "TransferProcess", _PROTECTED, _PIDS, _STATE),
    **_scoped("dspace", "TransferError", _PROTECTED, _terms("dspace", "providerPid consumerPid"), _ERROR),
    **_scoped(
        "dspace",
        "DataAddress",
        _PROTECTED,
        _terms("dspace", "endpoint"),
        _terms("dspace", "endpointType", coerce="@vocab"),
        _terms("dspace", "endpointProperties", container="@set"),
    ),
    **_scoped("dspace", "EndpointProperty", _PROTECTED, _terms("dspace", "name value")),
}

_QUERY: Final[Context] = {
    **_scoped(
        "edc",
        "QuerySpec",
        _terms("edc", "sortOrder sortField offset limit"),
        _terms("edc", "filterExpression", container="@set"),
    ),
    **_scoped("edc", "Criterion", _terms("edc", "operandLeft operator operandRight")),
}

_EDC_DSPACE: Final[Context] = {
    "@version": 1.1,
    "edc": EDC,
    "dct": DCT,
    "dcat": DCAT,
    **_QUERY,
    **_terms("edc", "inForceDate id description isCatalog"),
    **_terms("dct", "conformsTo format", coerce="@id"),
    **_terms("dcat", "endpointURL", coerce="@id"),
}

_EDC_MANAGEMENT: Final[Context] = {
    "@vocab": EDC,
    "edc": EDC,
    "schema": "http://schema.org/",
    **_terms("edc", "PolicyDefinition AssetEntryNewDto DataAddress NegotiationState TerminateNegotiation"),
    **_terms("edc", "ContractRequest createdAt properties privateProperties dataAddress type counterPartyAddress"),
    **_terms("edc", "protocol querySpec accessPolicyId contractPolicyId assetsSelector state reason offer asset"),
    **_terms("edc", "connectorAddress connectorId offerId assetId contractId providerId callbackAddresses"),
    **_terms("edc", "dataDestination baseUrl uri events transactional"),
    "policy": {"@id": "edc:policy", "@type": "@id", "@context": [DSPACE_ODRL_URL]},
}

_PRIVATE: Final = _scoped("edc", "privateProperties", vocab=True)
_POLICY: Final = _terms("edc", "policy")
_CALLBACKS: Final = _terms("edc", "callbackAddresses", container="@set")

_EDC_MANAGEMENT_2: Final[Context] = {
    "@version": 1.1,
    "edc": EDC,
    "dct": DCT,
    "dcat": DCAT,
    **_QUERY,
    **_scoped(
        "edc",
        "Asset",
        _scoped("edc", "properties", _terms("dct", "conformsTo", coerce="@id"), vocab=True),
        _scoped("edc", "dataAddress", vocab=True),
        _terms("edc", "dataplaneMetadata"),
        _PRIVATE,
    ),
    **_scoped("edc", "DataAddress", _terms("edc", "type"), vocab=True),
    **_scoped("edc", "PolicyDefinition", _POLICY, _PRIVATE, _terms("edc", "createdAt"), odrl=True),
    **_scoped(
        "edc",
        "ContractDefinition",
        _PRIVATE,
        _terms("edc", "accessPolicyId contractPolicyId"),
        _terms("edc", "assetsSelector", container="@set"),
    ),
    **_scoped("edc", "DatasetRequest", _terms("edc", "counterPartyAddress counterPartyId protocol profile")),
    **_scoped(
        "edc",
        "CatalogRequest",
        _terms("edc", "counterPartyAddress counterPartyId protocol profile querySpec"),
        _terms("edc", "additionalScopes", container="@set"),
    ),
    **_scoped(
        "edc", "ContractRequest", _POLICY, _CALLBACKS, _terms("edc", "counterPartyAddress protocol profile"), odrl=True
    ),
    **_scoped(
        "edc",
        "TransferRequest",
        _PRIVATE,
        _CALLBACKS,
        _terms("edc", "counterPartyAddress transferType dataDestination contractId protocol profile dataplaneMetadata"),
    ),
    **_scoped("edc", "CallbackAddress", _terms("edc", "uri transactional"), _terms("edc", "events", container="@set")),
    **_scoped("edc", "TerminateNegotiation", _terms("edc", "reason")),
    **_scoped("edc", "TerminateTransfer", _terms("edc", "reason")),
    **_scoped("edc", "SuspendTransfer", _terms("edc", "reason")),
    **_scoped("edc", "Secret", _terms("edc", "value")),
    **_scoped("edc", "PolicyEvaluationPlanRequest", _terms("edc", "policyScope")),
    **_terms("edc", "inForceDate"),
}

_CX_OPERANDS: Final = (
    "access AffiliatesBpnl AffiliatesRegion BusinessPartnerGroup BusinessPartnerNumber ConfidentialInformationMeasures "
    "ConfidentialInformationSharing ContractReference ContractTermination DataFrequency DataProvisioningEndDate "
    "DataProvisioningEndDurationDays DataUsageEndDate DataUsageEndDefinition DataUsageEndDurationDays ExclusiveUsage "
    "FrameworkAgreement JurisdictionLocation JurisdictionLocationReference Liability ManagedLegalEntityBpnl "
    "ManagedLegalEntityRegion Membership Precedence UsagePurpose UsageRestriction VersionChanges Warranty "
    "WarrantyDefinition WarrantyDuration WarrantyDurationMonths"
)
_TX_OPERANDS: Final = (
    "Membership UsagePurpose ContractReference Dismantler Dismantler.activityType Dismantler.allowedBrands "
    "FrameworkAgreement FrameworkAgreement.behavioraltwin FrameworkAgreement.pcf FrameworkAgreement.quality "
    "FrameworkAgreement.resiliency FrameworkAgreement.sustainability FrameworkAgreement.traceability"
)

CONTEXTS: Final[Mapping[str, Context]] = {
    DSPACE_URL: _DSPACE,
    DSPACE_ODRL_URL: _ODRL_PROFILE,
    EDC_DSPACE_URL: _EDC_DSPACE,
    EDC_URL: _EDC_MANAGEMENT,
    EDC_MANAGEMENT_URL: _EDC_MANAGEMENT,
    EDC_MANAGEMENT_2_URL: _EDC_MANAGEMENT_2,
    ODRL_URL: _ODRL,
    ODRL_URL.replace("http:", "https:"): _ODRL,
    CX_ODRL_URL: _ODRL_PROFILE,
    CX_POLICY_URL: {"cx-policy": CX_POLICY, "xsd": XSD, **_terms("cx-policy", _CX_OPERANDS)},
    TX_POLICY_URL: {"cx-policy": CX_POLICY_LEGACY, "xsd": XSD, **_terms("cx-policy", _TX_OPERANDS)},
    TX_AUTH_URL: {
        "tx-auth": TX_AUTH,
        **_terms("tx-auth", "refreshToken refreshEndpoint refreshAudience audience expiresIn"),
    },
    TX_URL: {"tx": TX, **_terms("tx", "BusinessPartnerNumber BusinessPartnerGroup Membership Dismantler BPN")},
}
"""Every context this node knows: what stands under `@context` in the document at that address."""
