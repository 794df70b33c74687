"""The sandbox's authority: a process of its own, in which all companies are members before their nodes start."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from connector.authority.settings import FINDER_PATH
from connector.client import Client
from connector.client.api import Api, path
from connector.identity.did import did_of_url
from connector.onboarding.folder import KEY_FILE, make_api_key, to_toml
from connector.onboarding.joining import join
from connector.sandbox.participants import Participant
from connector.sandbox.ports import HOST
from connector.sandbox.process import SERVE_AUTHORITY, NodeProcess

NAME: Final = "authority"
CONFIG_FILE: Final = "authority.toml"
_LOG_FILE: Final = "authority.log"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the authority is to be: its folder and its two ports."""

    folder: Path
    public: int
    management: int

    @property
    def url(self) -> str:
        """Its public URL; localhost, as did:web does not allow addresses."""
        return f"http://localhost:{self.public}"

    @property
    def did(self) -> str:
        """Its DID."""
        return did_of_url(self.url)

    def node_sections(self) -> dict[str, dict[str, object]]:
        """What a node's settings say about it."""
        return {
            "identity": {"kind": "dcp"},
            "wallet": {"issuer": self.did},
            "bdrs": {"url": self.url},
            "discovery": {"finder": self.url + FINDER_PATH, "did": self.did},
            "trusted_issuers": {self.did: ["*"]},
        }


@dataclass(frozen=True, slots=True)
class Authority:
    """The running authority, and how its operator reaches it."""

    did: str
    management: str
    process: NodeProcess
    api_key: str = field(repr=False)

    async def end_membership(self, bpn: str) -> list[dict[str, Any]]:
        """End a company's membership; the credentials that are revoked by that. Raise ApiError."""
        async with Api(self.management, self.api_key) as operator:
            revoked: list[dict[str, Any]] = (await operator.call("DELETE", path("members", bpn))).body
            return revoked


async def start(place: Place, members: Iterable[Participant]) -> Authority:
    """Start the authority and register the members. Raise LocalError if it does not start."""
    place.folder.mkdir(exist_ok=True)
    key_file = place.folder / KEY_FILE
    make_api_key(key_file)
    config = place.folder / CONFIG_FILE
    config.write_text(_settings(place, key_file), encoding="utf-8")
    process = await NodeProcess.start(NAME, config, place.folder / _LOG_FILE, SERVE_AUTHORITY)
    api_key = key_file.read_text(encoding="utf-8")
    authority = Authority(place.did, process.ready.management, process, api_key)
    try:
        async with Api(authority.management, api_key) as operator:
            for member in members:
                await operator.post("/members", {"bpn": member.bpn, "did": member.did, "name": member.title})
    except BaseException:
        await process.stop()
        raise
    return authority


def _settings(place: Place, key_file: Path) -> str:
    """What was revoked is known at once: in a sandbox people wait for it."""
    return to_toml(
        {
            "authority": {"did": place.did, "data": str(place.folder / "data"), "development": True},
            "public": {"url": place.url, "host": HOST, "port": place.public},
            "management": {"host": HOST, "port": place.management, "key": f"file:{key_file}"},
            "issuing": {"status_ttl": 0},
        }
    )


async def has_credentials(participant: Participant, authority: str) -> None:
    """Wait until a node has its credentials, for which it asks when it starts. Raise ApiError if it gets none."""
    async with Client(participant.management, participant.api_key) as node:
        await join(node, authority)
