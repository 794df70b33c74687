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
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def setting(key: str, text: str, *, default: Any = MISSING, secret: bool = False) -> Any:
    """A field of Config: `key` is `section.name`, `text` what it does, with unit; without default it is required."""
    metadata = {"key": key, "help": text, "secret": secret}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata) if default is not MISSING else field(metadata=metadata)


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
    development: bool = setting(
        "node.development",
        "Allow plain http, loopback and private addresses of peers. Never in production.",
        default=False,
    )
    log_level: str = setting("node.log_level", "debug, info, warning or error.", default="info")
    log_format: str = setting("node.log_format", "json, or console for people.", default="json")

    url: str = setting("public.url", "The URL under which peers reach this node, without a trailing slash.")
    host: str = setting("public.host", "Address the protocol and data plane listen on.", default="127.0.0.1")
    port: int = setting("public.port", "Port the protocol and data plane listen on.", default=8282)
    certificate: Path | None = setting(
        "public.certificate", "PEM file with the certificate chain; reloaded when it changes.", default=None
    )
    certificate_key: Path | None = setting(
        "public.certificate_key", "PEM file with the certificate's key.", default=None
    )
    trust: Path | None = setting("public.trust", "PEM file with additional CAs to trust as a client.", default=None)

    management_host: str = setting("management.host", "Address the management API listens on.", default="127.0.0.1")
    management_port: int = setting("management.port", "Port the management API listens on.", default=8181)
    management_path: str = setting("management.path", "Path of the management API.", default="/management")
    management_key: str = setting("management.key", "API key: env:NAME or file:PATH.", secret=True)

    identity: str = setting(
        "identity.kind", "did (self-issued tokens) or mock (EDC's iam-mock form, loopback only).", default="did"
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

    database: str = setting("store.url", "sqlite (a file in node.data) or a PostgreSQL URL.", default="sqlite")

    token_lifetime: int = setting("data_plane.token_lifetime", "Life of an access token, in seconds.", default=300)
    files: Path | None = setting(
        "data_plane.files", "Folder that assets of type File may be served from; none if not set.", default=None
    )

    directory: Mapping[str, str] = setting(
        "directory", 'Business partner numbers and their participant ids: BPN = "did".', default={}
    )
    callbacks: tuple[CallbackSetting, ...] = setting(
        "callbacks", "Static callbacks: [[callbacks]] with uri, events, auth_key, auth_code_id.", default=()
    )

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https") or self.url.endswith("/"):
            raise Invalid("public.url is an http(s) URL without a trailing slash", "/public/url", self.url)
        if self.url.startswith("http:") and not self.development:
            raise Invalid("public.url must be https unless node.development is set", "/public/url", self.url)
        if self.identity not in ("did", "mock"):
            raise Invalid("identity.kind is did or mock", "/identity/kind", self.identity)
        exposed = {self.host, self.management_host} - LOOPBACK
        if self.identity == "mock" and exposed:
            raise Invalid(f"the mock identity proves nothing: it may not listen on {min(exposed)}", "/identity/kind")
        if (self.certificate is None) is not (self.certificate_key is None):
            raise Invalid("public.certificate and public.certificate_key go together", "/public/certificate")
        if len(self.management_key) < len("password"):
            raise Invalid("management.key must have at least 8 characters", "/management/key")

    @property
    def dsp_root(self) -> str:
        """The root URL of the Dataspace Protocol: versions are below it."""
        return self.url + DSP_PATH

    @property
    def data_url(self) -> str:
        """The one URL that all pulls go to."""
        return self.url + DATA_PATH


def table() -> tuple[tuple[str, str, str], ...]:
    """(key, default, help) of every setting: what the reference page shows."""
    return tuple((f.metadata["key"], _shown(f), f.metadata["help"]) for f in fields(Config))


def _shown(f: Field[Any]) -> str:
    if f.default is MISSING and f.default_factory is MISSING:
        return "required"
    return "" if f.default in (None, MISSING, (), "") else str(f.default).lower()


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read a node's file and overlay the environment. Raise Invalid naming the setting."""
    env = os.environ if environment is None else environment
    try:
        doc = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{path} is not TOML: {error}") from error
    return parse(doc, env)


def parse(doc: Mapping[str, Any], env: Mapping[str, str]) -> Config:
    """Make a Config of a parsed file and an environment."""
    given = _flat(doc)
    known = {f.metadata["key"]: f for f in fields(Config)}
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise Invalid(f"there is no setting {key}{hint}", "/" + key.replace(".", "/"))
    values: dict[str, Any] = {}
    for key, f in known.items():
        name = f"CONNECTOR_{key.replace('.', '_').upper()}"
        if name in env:
            values[f.name] = _read(key, f, env[name], env)
        elif key in given:
            values[f.name] = _read(key, f, given[key], env)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise Invalid(f"{key} is required: {f.metadata['help']}", "/" + key.replace(".", "/"))
    return Config(**values)


def _flat(doc: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, content in doc.items():
        if section in ("directory", "callbacks") or not isinstance(content, Mapping):
            flat[section] = content
        else:
            flat.update({f"{section}.{name}": value for name, value in content.items()})
    return flat


def _read(key: str, f: Field[Any], value: object, env: Mapping[str, str]) -> object:
    pointer = "/" + key.replace(".", "/")
    if f.metadata["secret"]:
        return secret(value, env, pointer)
    return _READERS[_annotation(f)](value, pointer)


def _annotation(f: Field[Any]) -> str:
    return f.type.__name__ if isinstance(f.type, type) else re.sub(r"(\w+\.)+", "", str(f.type))


def _string(value: object, pointer: str) -> str:
    if not isinstance(value, str):
        raise Invalid("expected a string", pointer, value)
    return value


def _path(value: object, pointer: str) -> Path:
    return Path(_string(value, pointer)).expanduser()


def _strings(value: object, pointer: str) -> tuple[str, ...]:
    if isinstance(value, str):  # from the environment
        return tuple(part for part in value.split(",") if part)
    if not isinstance(value, list):
        raise Invalid("expected a list of strings", pointer, value)
    return tuple(_string(v, pointer) for v in value)


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
        value = dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise Invalid('the directory has lines BPN = "did"', pointer)
    return dict(value)


def _callbacks(value: object, pointer: str) -> tuple[CallbackSetting, ...]:
    try:
        rows = value if isinstance(value, list) else []
        return tuple(CallbackSetting(**{**row, "events": tuple(row["events"])}) for row in rows)
    except (TypeError, KeyError, ValueError) as error:
        raise Invalid("a callback has uri and events, and may have auth_key and auth_code_id", pointer) from error


_READERS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "str": _string,
    "int": _number,
    "bool": _switch,
    "Path": _path,
    "Path | None": _path,
    "tuple[str, ...]": _strings,
    "Mapping[str, str]": _directory,
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
    raise Invalid("a secret is given by reference: env:NAME or file:PATH", pointer)
