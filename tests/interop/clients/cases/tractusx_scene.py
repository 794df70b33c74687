"""tractusx-sdk's services at our nodes, and what the cases offer with them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from tractusx_sdk.dataspace.adapters.connector.adapter_factory import AdapterFactory
from tractusx_sdk.dataspace.controllers.connector.controller_factory import ControllerFactory, ControllerType
from tractusx_sdk.dataspace.managers.connection.base_connection_manager import BaseConnectionManager
from tractusx_sdk.dataspace.services.connector.service_factory import ServiceFactory

from tests.interop.clients.cases.world import Backend, Node, Nodes, same

CLIENT: Final = "tractusx-sdk"
VERSION: Final = "saturn"
REGISTRY: Final = "https://w3id.org/catenax/taxonomy#DigitalTwinRegistry"
OPEN: Final[list[dict[str, Any]]] = [{"action": "use"}]
CONTEXT: Final = [
    "https://w3id.org/catenax/2025/9/policy/odrl.jsonld",
    "https://w3id.org/catenax/2025/9/policy/context.jsonld",
    {"@vocab": "https://w3id.org/edc/v0.0.1/ns/"},
]
POLICY_TERMS: Final = "https://w3id.org/catenax/2025/9/policy/"
PROXY: Final = {"proxyQueryParams": "true", "proxyPath": "true", "proxyMethod": "true", "proxyBody": "true"}
FAST: Final = {"max_wait": 20, "poll_interval": 0.1}


@dataclass(slots=True)
class Scene:
    """The three nodes, the data server, and a service of the SDK for each side."""

    nodes: Nodes
    backend: Backend
    provider: Any = field(init=False)
    consumer: Any = field(init=False)
    numbers: Callable[[], int] = field(default=count(1).__next__)

    def __post_init__(self) -> None:
        self.provider = service(self.nodes.provider).provider
        self.consumer = self.fresh_consumer()

    def fresh_consumer(self, connections: BaseConnectionManager | None = None) -> Any:  # noqa: ANN401 - untyped SDK
        """A consumer that remembers no connection but those of its manager."""
        return service(self.nodes.consumer, connections=connections).consumer

    def name(self, kind: str) -> str:
        """An id that no other case has."""
        return f"urn:case:{kind}:{self.numbers()}"

    def partner(self) -> dict[str, str]:
        """The provider, as the SDK's calls name it."""
        return {"counter_party_id": self.nodes.provider.did, "counter_party_address": self.nodes.provider.dsp}

    def access(self) -> list[dict[str, Any]]:
        """Visible for the consumer alone."""
        bpns = [self.nodes.consumer.bpn]
        return [
            {
                "action": "access",
                "constraint": {"leftOperand": "BusinessPartnerNumber", "operator": "isAnyOf", "rightOperand": bpns},
            }
        ]

    def usage(self) -> list[dict[str, Any]]:
        """For the consumer alone, and until a day far away."""
        return [
            {
                "action": "use",
                "constraint": {
                    "and": [
                        {
                            "leftOperand": "BusinessPartnerNumber",
                            "operator": "isAnyOf",
                            "rightOperand": [self.nodes.consumer.bpn],
                        },
                        {
                            "leftOperand": "DataUsageEndDate",
                            "operator": "eq",
                            "rightOperand": "2099-12-31T23:59:59+00:00",
                        },
                    ]
                },
            }
        ]

    def allowed(self) -> list[dict[str, Any]]:
        """The allow-list that has `usage` in it: a catalog of DSP 2025-1 spells the left operands as full IRIs."""
        (rule,) = self.usage()
        both = rule["constraint"]["and"]
        spelled = [{**part, "leftOperand": POLICY_TERMS + part["leftOperand"]} for part in both]
        return [{"permission": {"action": "use", "constraint": {"and": spelled}}}]

    def offer(
        self,
        kind: str,
        *,
        usage: list[dict[str, Any]] | None = None,
        by: Any = None,  # noqa: ANN401 - untyped SDK
        path: str = "/data",
        **asset: Any,
    ) -> str:
        """Create an asset, its two policies and the contract definition; return the asset's id."""
        by, ident = by or self.provider, self.name(kind)
        by.create_asset(asset_id=ident, base_url=self.backend.url + path, proxy_params=PROXY, **asset)
        by.create_policy(policy_id=f"{ident}:access", context=CONTEXT, permissions=self.access())
        by.create_policy(policy_id=f"{ident}:usage", context=CONTEXT, permissions=usage or self.usage())
        made = by.create_contract(
            contract_id=f"{ident}:offer",
            usage_policy_id=f"{ident}:usage",
            access_policy_id=f"{ident}:access",
            asset_id=ident,
        )
        same(made["@id"], f"{ident}:offer")
        return ident

    def by_id(self, asset: str) -> list[dict[str, str]]:
        """The filter that selects one asset."""
        return [self.consumer.get_filter_expression("https://w3id.org/edc/v0.0.1/ns/id", asset)]

    def obtain(self, asset: str, consumer: Any = None, **more: Any) -> Any:  # noqa: ANN401 - untyped SDK
        """The one call: `requests`' answer of the data plane."""
        call = {**self.partner(), "policies": self.allowed(), **FAST, **more}
        return (consumer or self.consumer).do_get(filter_expression=self.by_id(asset), **call)


def service(node: Node, *, key: str | None = None, connections: BaseConnectionManager | None = None) -> Any:  # noqa: ANN401 - untyped SDK
    """The SDK's own factory: provider and consumer of one connector. verbose=False keeps it from logging."""
    return ServiceFactory.get_connector_service(
        dataspace_version=VERSION,
        base_url=node.host,
        dma_path="/management",
        headers={"X-Api-Key": key or node.api_key},
        connection_manager=connections,
        verbose=False,
    )


def controller(node: Node, kind: str) -> Any:  # noqa: ANN401 - untyped SDK
    """One of the SDK's controllers that its services do not show."""
    adapter = AdapterFactory.get_dma_adapter(
        dataspace_version=VERSION, base_url=node.host, dma_path="/management", headers={"X-Api-Key": node.api_key}
    )
    wanted = ControllerType[kind]
    return ControllerFactory.get_dma_controllers_for_version(
        dataspace_version=VERSION, adapter=adapter, controller_types=[wanted]
    )[wanted]
