"""edc-client's connectors and its generated controllers at our nodes."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import edc_client
from edc_client.connector import Connector, Counterparty

from tests.interop.clients.cases.world import Backend, Node, Nodes, until

CLIENT: Final = "edc-client"
CONTEXT: Final = {"@vocab": "https://w3id.org/edc/v0.0.1/ns/"}


@dataclass(slots=True)
class Scene:
    """The three nodes, the data server, and a Connector of the client for each side."""

    nodes: Nodes
    backend: Backend
    provider: Any = field(init=False)
    consumer: Any = field(init=False)
    numbers: Callable[[], int] = field(default=count(1).__next__)

    def __post_init__(self) -> None:
        self.provider, self.consumer = connector(self.nodes.provider), connector(self.nodes.consumer)

    def name(self, kind: str) -> str:
        """An id that no other case has."""
        return f"case-{kind}-{self.numbers()}"

    def seller(self) -> Any:  # noqa: ANN401 - untyped client
        """The provider for a consumer that may not use its management API."""
        return Counterparty(self.nodes.provider.did, self.nodes.provider.dsp)

    def offer(self, kind: str, **policy: Any) -> str:
        """Create an asset, a policy and a contract definition for this asset alone; return the asset's id."""
        ident = self.name(kind)
        self.provider.create_asset(ident, f"{self.backend.url}/data")
        self.provider.create_policy(f"{ident}-policy", **policy)
        selector = [{"operandLeft": value("id"), "operator": "=", "operandRight": value(ident)}]
        self.provider.create_contract_definition(
            f"{ident}-offer", f"{ident}-policy", f"{ident}-policy", assets_selector=selector
        )
        return ident

    def offer_of(self, asset: str) -> str:
        """The id of the offer in the provider's catalog."""
        catalog = self.consumer.fetch_catalog(self.seller())
        (found,) = (dataset for dataset in catalog["dataset"] if dataset["@id"] == asset)
        return str(found["hasPolicy"][0]["@id"])

    def agree(self, asset: str) -> str:
        """Negotiate, wait, and return the agreement's id."""
        ident = json.loads(self.consumer.negotiate(self.seller(), self.offer_of(asset), asset).data)["@id"]
        until(lambda: self.consumer.get_negotiation(ident).state == "FINALIZED")
        return str(self.consumer.get_negotiation(ident).contract_agreement_id)

    def pull(self, agreement: str) -> str:
        """Start a pull, wait until it has started, and return its id."""
        ident = str(self.consumer.start_pull(self.seller(), agreement)["@id"])
        self.reaches(ident, "STARTED")
        return ident

    def reaches(self, transfer: str, state: str) -> None:
        """Wait for a state of a transfer."""
        until(lambda: self.consumer.get_transfer_state(transfer)["state"] == state)

    def data(self, transfer: str) -> bytes:
        """What the data plane gives for a running pull."""
        reference = self.consumer.edr_endpoint_auth(self.consumer.get_edr(transfer))
        return bytes(self.consumer.pull_data(*reference).data)

    def api(self, kind: str, *, provider: bool = False) -> Any:  # noqa: ANN401 - untyped client
        """A generated controller, such as AssetV3Api."""
        return getattr(edc_client, kind)((self.provider if provider else self.consumer).client)


def connector(node: Node, key: str | None = None) -> Any:  # noqa: ANN401 - untyped client
    """The client's Connector for DSP 2025-1."""
    return Connector("samples", node.management, node.did, node.dsp, key or node.api_key)


def value(text: str) -> dict[str, str]:
    """An operand as the client's model of a selector wants it."""
    return {"@value": text}
