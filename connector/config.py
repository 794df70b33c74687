"""The settings of a node. How they are given, in a file and in the environment, is said in `connector.settings`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from connector.protocol.errors import Invalid
from connector.settings import CallbackSetting, is_root, place, read_toml, setting, table_of, values_of

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
DSP_PATH: Final = "/api/v1/dsp"
DATA_PATH: Final = "/public"
DCP_PATH: Final = "/dcp"
STS_PATH: Final = "/sts"
_CHOICES: Final = {
    "node.log_level": ("debug", "info", "warning", "error"),
    "node.log_format": ("json", "console"),
    "identity.kind": ("did", "dcp", "mock"),
}
_CREDENTIALS: Final = ("Membership", "Bpn", "DataExchangeGovernance")
_SHORTEST_KEY: Final = 8
_PORTS: Final = range(1 << 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting of a node, checked."""

    did: str = setting("node.did", "Participant id: the node's did:web, or any name with the mock identity.")
    bpn: str = setting("node.bpn", "Business partner number of the node's operator.", default="")
    data: Path = setting("node.data", "Folder for database and signing key; created if missing.")
    key: Path | None = setting(
        "node.key",
        "PEM file with the signing key, made if missing; signing-key.pem in node.data if not set. Replicas share one.",
        default=None,
    )
    development: bool = setting(
        "node.development",
        "Allow plain http, loopback and private addresses of peers. Never in production.",
        default=False,
    )
    log_level: str = setting("node.log_level", "debug, info, warning or error.", default="info")
    log_format: str = setting("node.log_format", "json, or console for people.", default="json")
    grace: int = setting(
        "node.grace",
        "Seconds that deliveries under way, and then requests under way, have to finish when the node is told to stop.",
        default=4,
    )

    url: str = setting(
        "public.url",
        "The URL under which peers reach this node, without a trailing slash. Their DID documents are fetched by the"
        " same scheme: http, for development, knows http only.",
    )
    host: str = setting("public.host", "Address the protocol and data plane listen on.", default="127.0.0.1")
    port: int = setting("public.port", "Port the protocol and data plane listen on.", default=8282)
    certificate: Path | None = setting(
        "public.certificate", "PEM file with the certificate chain; reloaded when it changes.", default=None
    )
    certificate_key: Path | None = setting(
        "public.certificate_key", "PEM file with the certificate's key.", default=None
    )
    trust: Path | None = setting("public.trust", "PEM file with additional CAs to trust as a client.", default=None)
    passport_pages: bool = setting(
        "public.passport_pages",
        "Show the public part of each published passport at /p/<passport id>, without login, with a QR code.",
        default=True,
    )

    management_host: str = setting("management.host", "Address the management API listens on.", default="127.0.0.1")
    management_port: int = setting("management.port", "Port the management API listens on.", default=8181)
    management_path: str = setting("management.path", "Path of the management API.", default="/management")
    management_key: str = setting("management.key", "API key: env:NAME or file:PATH.", secret=True)

    identity: str = setting(
        "identity.kind",
        "did (self-issued tokens), dcp (these and verifiable credentials: what Catena-X wants), or mock (EDC's iam-mock"
        " form, loopback only).",
        default="did",
    )
    scopes: tuple[str, ...] = setting(
        "identity.scopes",
        "With dcp: the credentials that every counterparty has to show, and may ask of us, as scopes of DCP"
        " (`alias:type:read`); in the environment separated by commas.",
        default=tuple(f"org.eclipse.tractusx.vc.type:{name}Credential:read" for name in _CREDENTIALS),
    )
    optional_scopes: tuple[str, ...] = setting(
        "identity.optional_scopes",
        "With dcp: credentials that are asked for besides, and need not be shown; policies may depend on them"
        " (`...:DismantlerCredential:read`).",
        default=(),
    )
    keep_credentials: int = setting(
        "identity.keep_credentials",
        "With dcp: for how long shown credentials do for further messages, in seconds; their dates and status lists are"
        " looked at for each message all the same. 0 asks the counterparty's wallet each time. For token refreshes,"
        " which cannot ask, the last ones stay in the database until they end.",
        default=300,
    )
    wallet_issuer: str = setting(
        "wallet.issuer",
        "With dcp: the DID of the issuer that is asked, at the start, for credentials of identity.scopes that are not"
        " there.",
        default="",
    )
    sts_url: str = setting(
        "sts.url",
        "With dcp: the secure token service of an external wallet, without `/token`. That wallet then holds key,"
        " credentials and DID document; this node has none of these. Empty: all are built in.",
        default="",
    )
    sts_client_id: str = setting(
        "sts.client_id",
        "The client of the token service: with sts.url this node, there; without it who may ask this node's own, at"
        " /sts/token of the management listener. Empty: nobody.",
        default="",
    )
    sts_client_secret: str = setting(
        "sts.client_secret", "The client's secret: env:NAME or file:PATH.", default="", secret=True
    )
    bdrs_url: str = setting(
        "bdrs.url",
        "With dcp: the data space's BPN directory (CX-0167), without `/bpn-directory`; entries of [directory] come"
        " first.",
        default="",
    )
    bdrs_refresh: int = setting(
        "bdrs.refresh", "Seconds for which the fetched BPN directory is used before the next is fetched.", default=900
    )
    discovery_finder: str = setting(
        "discovery.finder",
        "URL of the discovery finder's search (CX-0053): who makes a part is asked of the services that it names, and"
        " the parts of published passports are made known there. Empty: nobody is asked or told.",
        default="",
    )
    discovery_did: str = setting(
        "discovery.did", "The DID of who runs the discovery services: our tokens are made out to it.", default=""
    )
    identity_anonymous: str = setting(
        "identity.anonymous",
        "With the mock identity: the participant id of callers that send no Authorization header; empty refuses them.",
        default="",
    )

    negotiation_strategy: str = setting(
        "strategy.negotiation", "auto, manual, or package.module:Class of a plug-in.", default="auto"
    )
    transfer_strategy: str = setting(
        "strategy.transfer", "auto, manual, or package.module:Class of a plug-in.", default="auto"
    )

    database: str = setting(
        "store.url",
        "sqlite (a file in node.data), or postgresql://user@host:port/database; one with a password stands where"
        " env:NAME or file:PATH points. PostgreSQL needs the extra `postgres`, and a database of this node's own,"
        " which its replicas share.",
        default="sqlite",
        may_refer=True,
    )

    token_lifetime: int = setting("data_plane.token_lifetime", "Life of an access token, in seconds.", default=300)
    files: Path | None = setting(
        "data_plane.files", "Folder that assets of type File may be served from; none if not set.", default=None
    )
    models: Path | None = setting(
        "schemas.models",
        "Folder of aspect models, as NAMESPACE/VERSION/*.ttl; they come before those delivered with the connector.",
        default=None,
    )

    tracing: str = setting(
        "tracing.endpoint",
        "Where spans go: the URL of an OpenTelemetry collector for traces by OTLP/HTTP, as in"
        " http://localhost:4318/v1/traces; nowhere if not set. Needs the extra `otel`. What else the collector wants"
        " (headers, a certificate) stands in OpenTelemetry's own variables, OTEL_EXPORTER_OTLP_HEADERS for instance.",
        default="",
    )

    connections: int = setting(
        "limits.connections",
        "Connections that a listener has at once; each needs an open file (`ulimit -n`). As in all limits, 0 lifts it.",
        default=1024,
    )
    connections_per_address: int = setting(
        "limits.connections_per_address",
        "Connections of one address at once. Behind a reverse proxy all have the proxy's address: set 0 there.",
        default=256,
    )
    failures_per_minute: int = setting(
        "limits.failures_per_minute",
        "Refused tokens of one address, before it is not heard for a while. Behind a reverse proxy: set 0.",
        default=300,
    )
    wrong_keys_per_minute: int = setting(
        "limits.wrong_keys_per_minute",
        "Wrong API keys, or secrets of the token service's client, of one address, before it is not heard for a while."
        " Behind a reverse proxy that lets in strangers: set 0, and let the proxy count.",
        default=30,
    )
    requests_per_second: int = setting(
        "limits.requests_per_second", "Protocol messages of one counterparty, on average.", default=1000
    )
    burst: int = setting("limits.burst", "Protocol messages of one counterparty, in one moment.", default=2000)
    requests_at_once: int = setting(
        "limits.requests_at_once", "Protocol messages of one counterparty that are being answered.", default=128
    )
    negotiations: int = setting(
        "limits.negotiations", "Open negotiations that one counterparty may have begun.", default=1000
    )
    transfers: int = setting(
        "limits.transfers",
        "Open transfers that one counterparty may have begun; running pulls stay open.",
        default=10_000,
    )
    pulls_at_once: int = setting("limits.pulls_at_once", "Requests for the data of one transfer at once.", default=64)

    directory: Mapping[str, str] = setting(
        "directory", 'Business partner numbers and their participant ids: BPN = "did".', default={}
    )
    trusted_issuers: Mapping[str, tuple[str, ...]] = setting(
        "trusted_issuers",
        'With dcp: whose credentials count, by type: "did:web:..." = ["MembershipCredential"], or ["*"] for all types'
        " (in the environment: did=type+type,did=*).",
        default={},
    )
    callbacks: tuple[CallbackSetting, ...] = setting(
        "callbacks", "Static callbacks: [[callbacks]] with uri, events, auth_key, auth_code_id.", default=()
    )

    def __post_init__(self) -> None:
        for f in fields(self):
            key, value = f.metadata["key"], getattr(self, f.name)
            if key in _CHOICES and value not in _CHOICES[key]:
                raise Invalid(f"{key} is one of {', '.join(_CHOICES[key])}", place(key), value)
            if key.endswith(".port") and value not in _PORTS:
                raise Invalid(f"{key} is a number up to {_PORTS[-1]}; 0 takes a free port", place(key), value)
            if key.startswith("limits.") and value < 0:
                raise Invalid(f"{key} is at least 0, which lifts the limit", place(key), value)
        self._check_public()
        self._check_identity()
        path = self.management_path
        if not path.startswith("/") or path.endswith("/"):
            raise Invalid("management.path begins with a slash and does not end with one", "/management/path", path)
        if self.database != "sqlite" and not self.database.startswith(("postgresql://", "postgres://")):
            raise Invalid("store.url is sqlite or postgresql://user@host:port/database", "/store/url")
        if len(self.management_key) < _SHORTEST_KEY:
            raise Invalid(f"management.key must have at least {_SHORTEST_KEY} characters", "/management/key")
        self._check_operation()

    def _check_operation(self) -> None:
        if self.grace < 0:
            raise Invalid("node.grace is 0 seconds or more", "/node/grace", self.grace)
        if self.tracing and not self.tracing.startswith(("http://", "https://")):
            raise Invalid("tracing.endpoint is an http(s) URL", "/tracing/endpoint")
        if self.token_lifetime < 1:
            raise Invalid("data_plane.token_lifetime is at least 1 second", "/data_plane/token_lifetime")

    def _check_public(self) -> None:
        if not is_root(self.url):
            fault = "public.url is an http(s) URL with a host, without user, query, fragment or trailing slash"
            raise Invalid(fault, "/public/url", self.url)
        if self.url.startswith("http:") and not self.development:
            raise Invalid("public.url must be https unless node.development is set", "/public/url", self.url)
        if (self.certificate is None) is not (self.certificate_key is None):
            raise Invalid("public.certificate and public.certificate_key go together", "/public/certificate")

    def _check_identity(self) -> None:
        exposed = {self.host, self.management_host} - LOOPBACK
        if self.identity == "mock" and exposed:
            raise Invalid(f"the mock identity proves nothing: it may not listen on {min(exposed)}", "/identity/kind")
        if self.identity != "mock" and not self.did.startswith("did:web:"):
            raise Invalid("node.did must be a did:web, unless identity.kind is mock", "/node/did", self.did)
        if self.identity == "dcp" and not self.trusted_issuers:
            raise Invalid("with dcp, trusted_issuers has to name whose credentials count", "/trusted_issuers")
        if self.identity == "dcp" and not self.scopes:
            raise Invalid("identity.scopes has to ask for at least one credential", "/identity/scopes")
        self._check_wallet()
        if self.keep_credentials < 0:
            raise Invalid("identity.keep_credentials is 0 seconds or more", "/identity/keep_credentials")

    def _check_wallet(self) -> None:
        addresses = {"sts.url": self.sts_url, "bdrs.url": self.bdrs_url, "discovery.finder": self.discovery_finder}
        for key, value in addresses.items():
            if value and not is_root(value):
                raise Invalid(f"{key} is an http(s) URL without query or trailing slash", place(key), value)
            if value.startswith("http:") and not self.development:
                raise Invalid(f"{key} must be https unless node.development is set", place(key), value)
        if self.wallet_issuer and not self.wallet_issuer.startswith("did:web:"):
            raise Invalid("wallet.issuer is a did:web", "/wallet/issuer", self.wallet_issuer)
        if self.sts_url and not self.sts_client_id:
            raise Invalid("sts.url needs sts.client_id and sts.client_secret", "/sts/client_id")
        if self.sts_url and self.wallet_issuer:
            raise Invalid("with sts.url the external wallet asks issuers, not this node", "/wallet/issuer")
        if self.sts_client_id and len(self.sts_client_secret) < _SHORTEST_KEY:
            raise Invalid(f"sts.client_secret must have at least {_SHORTEST_KEY} characters", "/sts/client_secret")
        if self.discovery_finder and not self.discovery_did.startswith("did:web:"):
            raise Invalid("discovery.finder needs discovery.did, a did:web", "/discovery/did", self.discovery_did)
        if self.bdrs_refresh < 1:
            raise Invalid("bdrs.refresh is at least 1 second", "/bdrs/refresh", self.bdrs_refresh)

    @property
    def built_in_wallet(self) -> bool:
        """Whether this node keeps its own credentials."""
        return self.identity == "dcp" and not self.sts_url

    @property
    def dsp_root(self) -> str:
        """The root URL of the Dataspace Protocol: versions are below it."""
        return self.url + DSP_PATH

    @property
    def data_url(self) -> str:
        """The one URL that all pulls go to."""
        return self.url + DATA_PATH

    @property
    def dcp_url(self) -> str:
        """The root URL of our wallet, as our DID document gives it."""
        return self.url + DCP_PATH


def table() -> tuple[tuple[str, str, str], ...]:
    """(key, default, help) of every setting of a node."""
    return table_of(Config)


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read a node's file and overlay the environment. Raise Invalid naming the setting."""
    return parse(read_toml(path), os.environ if environment is None else environment)


def parse(doc: Mapping[str, Any], env: Mapping[str, str]) -> Config:
    """Make a Config of a parsed file and an environment."""
    return Config(**values_of(Config, doc, env))
