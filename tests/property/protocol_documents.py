"""Hypothesis strategies for everything that the protocol modules write: messages, catalogs, version documents."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from connector.protocol import negotiation, transfer
from connector.protocol.catalog import (
    CatalogError,
    CatalogRequestMessage,
    catalog_json,
    dataset_json,
    service_json,
)
from connector.protocol.negotiation_messages import (
    EVENT_TYPES,
    ContractAgreementMessage,
    ContractAgreementVerificationMessage,
    ContractNegotiation,
    ContractNegotiationError,
    ContractNegotiationEventMessage,
    ContractNegotiationTerminationMessage,
    ContractOfferMessage,
    ContractRequestMessage,
)
from connector.protocol.transfer_messages import (
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
from connector.protocol.versions import Auth, ProtocolVersion, versions_json

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy: how long an example takes proves nothing here."""

letters = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
texts = st.text(letters, min_size=1, max_size=40)
maybe = st.none() | texts
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
)
some_values = json_values.filter(lambda value: value is not None)
reasons = st.lists(json_values, max_size=3).map(tuple)

atoms = st.fixed_dictionaries(
    {"leftOperand": texts, "operator": st.sampled_from(["eq", "isAnyOf"]), "rightOperand": texts}
)
constraints = atoms | st.fixed_dictionaries({"and": st.lists(atoms, min_size=1, max_size=2)})
rules = st.fixed_dictionaries({"action": texts}, optional={"constraint": st.lists(constraints, max_size=2)})
policies = st.fixed_dictionaries(
    {"@id": texts, "permission": st.lists(rules, min_size=1, max_size=2)},
    optional={"prohibition": st.lists(rules, min_size=1, max_size=1), "profile": texts},
)


def _with(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    more = st.fixed_dictionaries({key.replace("at_", "@"): value for key, value in members.items()})
    return st.builds(lambda policy, extra: {**policy, **extra}, policies, more)


offers = _with(at_type=st.just("Offer"), target=texts)
agreements = _with(
    at_type=st.just("Agreement"),
    target=texts,
    assigner=texts,
    assignee=texts,
    timestamp=st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")),
)
pids: dict[str, Any] = {"consumer_pid": texts, "provider_pid": texts, "id": maybe}
coded = {**pids, "code": maybe, "reason": reasons}
refused = {"consumer_pid": maybe, "provider_pid": maybe, "id": maybe, "code": maybe, "reason": reasons}
refreshes = st.builds(
    TokenRefresh,
    refresh_token=texts,
    expires_in_s=st.integers(0, 10**6),
    refresh_endpoint=texts,
    refresh_audience=texts,
    audience=texts,
)
addresses = st.builds(http_pull_address, texts, texts, st.none() | refreshes) | st.builds(
    DataAddress,
    endpoint_type=texts,
    endpoint=maybe,
    properties=st.lists(st.tuples(texts, st.text(letters, max_size=40)), max_size=3).map(tuple),
)

MESSAGES: dict[type[Any], st.SearchStrategy[Any]] = {
    ContractRequestMessage: st.builds(ContractRequestMessage, consumer_pid=texts, offer=offers, callback_address=texts)
    | st.builds(ContractRequestMessage, consumer_pid=texts, offer=offers, provider_pid=texts, id=maybe),
    ContractOfferMessage: st.builds(ContractOfferMessage, provider_pid=texts, offer=offers, callback_address=texts)
    | st.builds(ContractOfferMessage, provider_pid=texts, offer=offers, consumer_pid=texts, id=maybe),
    ContractAgreementMessage: st.builds(ContractAgreementMessage, **pids, agreement=agreements),
    ContractAgreementVerificationMessage: st.builds(ContractAgreementVerificationMessage, **pids),
    ContractNegotiationEventMessage: st.builds(
        ContractNegotiationEventMessage, **pids, event_type=st.sampled_from(EVENT_TYPES)
    ),
    ContractNegotiationTerminationMessage: st.builds(ContractNegotiationTerminationMessage, **coded),
    ContractNegotiation: st.builds(ContractNegotiation, **pids, state=st.sampled_from(negotiation.State)),
    ContractNegotiationError: st.builds(ContractNegotiationError, **refused),
    TransferRequestMessage: st.builds(
        TransferRequestMessage,
        consumer_pid=texts,
        agreement_id=texts,
        format=texts,
        callback_address=texts,
        data_address=st.none() | addresses,
        id=maybe,
    ),
    TransferStartMessage: st.builds(TransferStartMessage, **pids, data_address=st.none() | addresses),
    TransferSuspensionMessage: st.builds(TransferSuspensionMessage, **coded),
    TransferCompletionMessage: st.builds(TransferCompletionMessage, **pids),
    TransferTerminationMessage: st.builds(TransferTerminationMessage, **coded),
    TransferProcess: st.builds(TransferProcess, **pids, state=st.sampled_from(transfer.State)),
    TransferError: st.builds(TransferError, **refused),
    CatalogRequestMessage: st.builds(
        CatalogRequestMessage,
        filter=st.none()
        | st.fixed_dictionaries({}, optional={"offset": st.integers(), "filterExpression": some_values}),
        id=maybe,
    ),
    CatalogError: st.builds(CatalogError, code=maybe, reason=reasons, id=maybe),
}

services = st.builds(service_json, texts, texts)
datasets = st.builds(
    dataset_json,
    texts,
    offers=st.lists(offers, min_size=1, max_size=2, unique_by=lambda offer: offer["@id"]),
    formats=st.lists(texts, min_size=1, max_size=2, unique=True),
    service=services,
    properties=st.dictionaries(texts, json_values, max_size=3),
)
catalogs = st.builds(
    catalog_json, texts, participant_id=texts, service=services, datasets=st.lists(datasets, max_size=3)
)
auths = st.builds(Auth, protocol=texts, version=texts, profile=st.lists(texts, max_size=2).map(tuple))
versions = st.builds(
    ProtocolVersion, version=texts, path=texts, service_id=maybe, identifier_type=maybe, auth=st.none() | auths
)
version_documents = st.lists(versions, min_size=1, max_size=3).map(versions_json)
