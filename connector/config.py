"""The settings of a node: one table, from which the file, the environment, the checks and the documentation follow.

A setting stands in a TOML file under its section (`[node] did = "..."`) or in the environment as
`CONNECTOR_<SECTION>_<NAME>`, which wins. Secrets are given by reference: `env:NAME` or `file:PATH`. A key that is not
in the table is refused with the nearest one that is, because a misspelt setting is one that silently does nothing.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from connector.protocol.errors import Invalid

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
DSP_PATH: Final = "/api/v1/dsp"
DATA_PATH: Final = "/public"
DCP_PATH: Final = "/dcp"
STS_PATH: Final = "/sts"
_REFERENCES: Final = ("env:", "file:")
_PASSWORD: Final = re.compile(r"//[^/@]*:[^/@]+@|[?&]password=")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_CHOICES: Final = {
    "node.log_level": ("debug", "info", "warning", "error"),
    "node.log_format": ("json", "console"),
    "identity.kind": ("did", "dcp", "mock"),
}
_TABLES: Final = frozenset({"directory", "trusted_issuers", "callbacks"})
"""Settings that are sections of their own: what stands in them are not names of settings."""
_CREDENTIALS: Final = ("Membership", "Bpn", "DataExchangeGovernance")
_SHORTEST_KEY: Final = 8
_PORTS: Final = range(1 << 16)


def setting(key: str, text: str, *, default: Any = MISSING, secret: bool = False, may_refer: bool = False) -> Any:
    """A field of Config: `key` is `section.name`, `text` what it does, with unit; without default it is required.

    secret: given by reference only. may_refer: a URL that is given by reference if it holds a password.
    """
    metadata = {"key": key, "help": text, "secret": secret, "may_refer": may_refer}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, repr=not (secret or may_refer), metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSetting:
    """One `[[callbacks]]` table: events whose names start with one of `events` are posted to `uri`."""

    uri: str
    events: tuple[str, ...]
    auth_key: str | None = None
    auth_code_id: str | None = None


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
        "With dcp: for how long shown credentials are kept at most, in seconds; their dates and status lists are looked"
        " at for each message all the same. 0 asks the counterparty's wallet each time.",
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
                raise Invalid(f"{key} is one of {', '.join(_CHOICES[key])}", _place(key), value)
            if key.endswith(".port") and value not in _PORTS:
                raise Invalid(f"{key} is a number up to {_PORTS[-1]}; 0 takes a free port", _place(key), value)
            if key.startswith("limits.") and value < 0:
                raise Invalid(f"{key} is at least 0, which lifts the limit", _place(key), value)
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
        for key, value in (("sts.url", self.sts_url), ("bdrs.url", self.bdrs_url)):
            if value and not is_root(value):
                raise Invalid(f"{key} is an http(s) URL without query or trailing slash", _place(key), value)
            if value.startswith("http:") and not self.development:
                raise Invalid(f"{key} must be https unless node.development is set", _place(key), value)
        if self.wallet_issuer and not self.wallet_issuer.startswith("did:web:"):
            raise Invalid("wallet.issuer is a did:web", "/wallet/issuer", self.wallet_issuer)
        if self.sts_url and not self.sts_client_id:
            raise Invalid("sts.url needs sts.client_id and sts.client_secret", "/sts/client_id")
        if self.sts_url and self.wallet_issuer:
            raise Invalid("with sts.url the external wallet asks issuers, not this node", "/wallet/issuer")
        if self.sts_client_id and len(self.sts_client_secret) < _SHORTEST_KEY:
            raise Invalid(f"sts.client_secret must have at least {_SHORTEST_KEY} characters", "/sts/client_secret")
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


def is_root(url: str) -> bool:
    """Whether URLs can be made of this by adding a path, and stand in headers as they are."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not set(url) & set(' "<>@?#\\')
    return bool(usable) and plain and not url.endswith("/")


def _place(key: str) -> str:
    return "/" + key.replace(".", "/")


def table(kind: type[Any] = Config) -> tuple[tuple[str, str, str], ...]:
    """(key, default, help) of every setting: what the reference page shows. `kind`: a dataclass of settings."""
    return tuple((f.metadata["key"], _shown(f), f.metadata["help"]) for f in fields(kind))


def _shown(f: Field[Any]) -> str:
    if f.default is MISSING and f.default_factory is MISSING:
        return "required"
    if isinstance(f.default, tuple):
        return ", ".join(f.default)
    return "" if f.default in (None, MISSING, "") else str(f.default).lower()


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read a node's file and overlay the environment. Raise Invalid naming the setting."""
    return parse(read_toml(path), os.environ if environment is None else environment)


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds. Raise Invalid if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{path} is not TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is not UTF-8") from error


def parse(doc: Mapping[str, Any], env: Mapping[str, str]) -> Config:
    """Make a Config of a parsed file and an environment."""
    return Config(**values_of(Config, doc, env))


def values_of(
    kind: type[Any], doc: Mapping[str, Any], env: Mapping[str, str], prefix: str = "CONNECTOR"
) -> dict[str, Any]:
    """The values of all fields of `kind`, a dataclass of settings. `prefix` begins the variables of the environment."""
    given = _flat(doc)
    known = {f.metadata["key"]: f for f in fields(kind)}
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise Invalid(f"there is no setting {key}{hint}", _place(key))
    values: dict[str, Any] = {}
    for key, f in known.items():
        name = f"{prefix}_{key.replace('.', '_').upper()}"
        if name in env:
            values[f.name] = _read(key, f, env[name], env)
        elif key in given:
            values[f.name] = _read(key, f, given[key], env)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise Invalid(f"{key} is required: {f.metadata['help']}", _place(key))
    return values


def _flat(doc: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, content in doc.items():
        if section in _TABLES or not isinstance(content, Mapping):
            flat[section] = content
        else:
            flat.update({f"{section}.{name}": value for name, value in content.items()})
    return flat


def _read(key: str, f: Field[Any], value: object, env: Mapping[str, str]) -> object:
    if f.metadata["secret"] or (f.metadata["may_refer"] and str(value).startswith(_REFERENCES)):
        return secret(value, env, _place(key))
    if f.metadata["may_refer"] and _PASSWORD.search(str(value)):
        raise Invalid(f"{key} holds a password: give it by reference, env:NAME or file:PATH", _place(key))
    return _READERS[_annotation(f)](value, _place(key))


def _annotation(f: Field[Any]) -> str:
    return f.type.__name__ if isinstance(f.type, type) else re.sub(r"(\w+\.)+", "", str(f.type))


def _string(value: object, pointer: str) -> str:
    if not isinstance(value, str):
        raise Invalid("expected a string", pointer, value)
    return value


def _path(value: object, pointer: str) -> Path:
    return Path(_string(value, pointer)).expanduser()


def _switch(value: object, pointer: str) -> bool:
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise Invalid("expected true or false", pointer, value)
    return text in _TRUE


def _number(value: object, pointer: str) -> int:
    try:
        return int(str(value))
    except ValueError as error:
        raise Invalid("expected a whole number", pointer, value) from error


def _directory(value: object, pointer: str) -> dict[str, str]:
    if isinstance(value, str):  # from the environment: BPN=did,BPN=did
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {bpn.strip(): did.strip() for bpn, _, did in pairs}
    if not isinstance(value, Mapping) or not all(isinstance(v, str) and v for v in value.values()):
        raise Invalid('the directory has lines BPN = "did" (in the environment: BPN=did,BPN=did)', pointer)
    return dict(value)


def _strings(value: object, pointer: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise Invalid("expected a list of strings", pointer, value)
    return tuple(value)


def _issuers(value: object, pointer: str) -> dict[str, tuple[str, ...]]:
    if isinstance(value, str):  # from the environment: did=type+type,did=*
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {did.strip(): types.split("+") for did, _, types in pairs}
    if not isinstance(value, Mapping):
        raise Invalid('the trusted issuers have lines "did:web:..." = ["type", ...]', pointer)
    return {did: _strings(types, f"{pointer}/{did}") for did, types in value.items()}


def _callbacks(value: object, pointer: str) -> tuple[CallbackSetting, ...]:
    if not isinstance(value, list):
        raise Invalid("callbacks are a list of tables: [[callbacks]]", pointer)
    return tuple(_callback(row, f"{pointer}/{i}") for i, row in enumerate(value))


def _callback(row: object, pointer: str) -> CallbackSetting:
    fault = "a callback has uri and events (a list), and may have auth_key and auth_code_id"
    if not isinstance(row, Mapping) or not isinstance(row.get("events"), list):
        raise Invalid(fault, pointer)
    texts = {name: _string(value, f"{pointer}/{name}") for name, value in row.items() if name != "events"}
    events = tuple(_string(value, f"{pointer}/events/{i}") for i, value in enumerate(row["events"]))
    try:
        return CallbackSetting(**texts, events=events)
    except TypeError as error:
        raise Invalid(fault, pointer) from error


_READERS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "str": _string,
    "int": _number,
    "bool": _switch,
    "Path": _path,
    "Path | None": _path,
    "Mapping[str, str]": _directory,
    "Mapping[str, tuple[str, ...]]": _issuers,
    "tuple[str, ...]": _strings,
    "tuple[CallbackSetting, ...]": _callbacks,
}
"""How a value of each type in the table is read; the keys are the annotations above."""


def secret(value: object, env: Mapping[str, str], pointer: str) -> str:
    """Resolve `env:NAME` or `file:PATH`. A bare value is refused, so that no secret stands in a configuration file."""
    if isinstance(value, str) and value.startswith("env:"):
        found = env.get(value.removeprefix("env:"))
        if not found:
            raise Invalid(f"the environment has no {value.removeprefix('env:')}", pointer)
        return found
    if isinstance(value, str) and value.startswith("file:"):
        try:
            return Path(value.removeprefix("file:")).expanduser().read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Invalid(f"cannot read the secret: {error.strerror}", pointer) from error
        except UnicodeDecodeError:  # its text would quote the secret
            raise Invalid("cannot read the secret: it is not UTF-8", pointer) from None
    raise Invalid("a secret is given by reference: env:NAME or file:PATH", pointer)
