"""The folder of a node or an authority: settings, API key and data in one place, made once and never overwritten.

A folder that is there already is the same company's, or it is refused: its DID stands in credentials and contracts.
"""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.config import Config, load
from connector.identity.did import did_of_url
from connector.protocol.errors import Conflict, LocalError

CONFIG_FILE: Final = "node.toml"
KEY_FILE: Final = "api-key"
DATA_FOLDER: Final = "data"
_KEY_BYTES: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A node to be set up. `authority`: DID of who issues its credentials; `bdrs`: root of the BPN directory, or ""."""

    bpn: str
    url: str
    authority: str
    bdrs: str = ""
    host: str = "127.0.0.1"
    port: int = 8282
    management_port: int = 8181
    certificate: Path | None = None
    certificate_key: Path | None = None
    trust: Path | None = None

    @property
    def did(self) -> str:
        """The DID that follows from the address."""
        return did_of_url(self.url)

    def settings(self, folder: Path) -> str:
        """The node's TOML file."""
        public = {"url": self.url, "host": self.host, "port": self.port}
        files = {"certificate": self.certificate, "certificate_key": self.certificate_key, "trust": self.trust}
        public |= {name: str(file.absolute()) for name, file in files.items() if file is not None}
        sections: dict[str, Mapping[str, object]] = {
            "node": {
                "did": self.did,
                "bpn": self.bpn,
                "data": str(folder / DATA_FOLDER),
                "development": self.url.startswith("http:"),
            },
            "public": public,
            "management": {"port": self.management_port, "key": f"file:{folder / KEY_FILE}"},
            "identity": {"kind": "dcp"},
            "wallet": {"issuer": self.authority},
            **({"bdrs": {"url": self.bdrs}} if self.bdrs else {}),
            "trusted_issuers": {self.authority: ["*"]},
            "directory": {self.bpn: self.did},
        }
        return to_toml(sections)


def prepare(plan: Plan, folder: Path) -> Config:
    """Make the folder of a new node, or find it made; its settings.

    Raise Conflict if it is the folder of another DID or number, Invalid if the plan cannot be, LocalError if it cannot
    be written.
    """
    folder = folder.absolute()
    file = folder / CONFIG_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_api_key(folder / KEY_FILE)
        if not file.exists():
            write_atomically(file, plan.settings(folder))
    except OSError as error:
        raise LocalError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    config = load(file)
    if (config.did, config.bpn) != (plan.did, plan.bpn):
        raise Conflict(f"{folder} is the folder of {config.bpn} as {config.did}: take another one", "/dir", str(folder))
    return config


def make_api_key(file: Path) -> None:
    """Write a new API key, unless there is one. Raise OSError."""
    if not file.exists():
        write_atomically(file, secrets.token_urlsafe(_KEY_BYTES))


def to_toml(sections: Mapping[str, Mapping[str, object]]) -> str:
    """A TOML file. JSON's strings, numbers, switches and lists of these are TOML's as well, quoted names too."""
    blocks = (
        "\n".join([f"[{name}]", *(f"{_name(key)} = {json.dumps(value)}" for key, value in members.items())])
        for name, members in sections.items()
    )
    return "\n\n".join(blocks) + "\n"


def _name(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else json.dumps(key)


def write_atomically(file: Path, content: str) -> None:
    """Write a file that others wait for: all of it or nothing is there. Only its owner may read it."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123 - a descriptor
            out.write(content)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
