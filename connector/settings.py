"""How settings are given: one table per program, from which file, environment, checks and documentation follow.

A table is a dataclass whose fields are made by `setting`. A setting stands in a TOML file under its section
(`[node] did = "..."`) or in the environment as `<PREFIX>_<SECTION>_<NAME>`, which wins. Secrets are given by reference:
`env:NAME` or `file:PATH`. A key that is not in the table is refused with the nearest one that is, because a misspelt
setting is one that silently does nothing.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from connector.protocol.errors import Invalid

_REFERENCES: Final = ("env:", "file:")
_PASSWORD: Final = re.compile(r"//[^/@]*:[^/@]+@|[?&]password=")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_TABLES: Final = frozenset({"directory", "trusted_issuers", "callbacks"})
"""Settings that are sections of their own: what stands in them are not names of settings."""


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


def table_of(kind: type[Any]) -> tuple[tuple[str, str, str], ...]:
    """(key, default, help) of every setting: what the reference page shows. `kind`: a dataclass of settings."""
    return tuple((f.metadata["key"], _shown(f), f.metadata["help"]) for f in fields(kind))


def _shown(f: Field[Any]) -> str:
    if f.default is MISSING and f.default_factory is MISSING:
        return "required"
    if isinstance(f.default, tuple):
        return ", ".join(f.default)
    return "" if f.default in (None, MISSING, "") else str(f.default).lower()


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
            raise Invalid(f"there is no setting {key}{hint}", place(key))
    values: dict[str, Any] = {}
    for key, f in known.items():
        name = f"{prefix}_{key.replace('.', '_').upper()}"
        if name in env:
            values[f.name] = _read(key, f, env[name], env)
        elif key in given:
            values[f.name] = _read(key, f, given[key], env)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise Invalid(f"{key} is required: {f.metadata['help']}", place(key))
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
        return secret(value, env, place(key))
    if f.metadata["may_refer"] and _PASSWORD.search(str(value)):
        raise Invalid(f"{key} holds a password: give it by reference, env:NAME or file:PATH", place(key))
    return _READERS[_annotation(f)](value, place(key))


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
            raise Invalid(f"cannot read the secret in {value}: {error.strerror}", pointer) from error
        except UnicodeDecodeError:  # its text would quote the secret
            raise Invalid(f"cannot read the secret in {value}: it is not UTF-8", pointer) from None
    raise Invalid("a secret is given by reference: env:NAME or file:PATH", pointer)


def is_root(url: str) -> bool:
    """Whether URLs can be made of this by adding a path, and stand in headers as they are."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not set(url) & set(' "<>@?#\\')
    return bool(usable) and plain and not url.endswith("/")


def place(key: str) -> str:
    """Where a setting stands, as a JSON pointer."""
    return "/" + key.replace(".", "/")
