"""The sandbox: nodes of fictitious companies, with identities, keys and folders of their own, that know one another.

Each is a process of its own, as in reality: what one does cannot be a call in another. Their DIDs hold their ports, so
a folder that is kept keeps the ports as well, and a sandbox that is started in it again is the same data space.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from connector.identity.did import did_of_url
from connector.onboarding.folder import CONFIG_FILE, KEY_FILE, make_api_key, to_toml, write_atomically
from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import PROTOCOL
from connector.sandbox import trust
from connector.sandbox.databases import SQLITE, Databases, in_files
from connector.sandbox.participants import CELL_MAKER, OEM, Company, Participant, companies
from connector.sandbox.ports import HOST, Ports
from connector.sandbox.process import NodeProcess

PORTS_FILE: Final = "ports.json"
LOG_FILE: Final = "node.log"
SHELL_FILE: Final = "env"
STORE_FILE: Final = "store-url"


@dataclass(frozen=True, slots=True)
class Member:
    """A node that runs: how to reach it, and its process."""

    participant: Participant
    process: NodeProcess
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """For programs: with the API key, which is for this machine only."""
        who = self.participant
        return {
            "name": who.name,
            "title": who.title,
            "did": who.did,
            "bpn": who.bpn,
            "dsp": who.dsp,
            "management": who.management,
            "api_key": who.api_key,
            "public": self.process.ready.public,
            "pid": self.process.process.pid,
            "ready_s": round(self.process.ready_s, 3),
            "folder": str(self.folder),
        }


@dataclass(frozen=True, slots=True)
class Sandbox:
    """All nodes, by name, in the order of the companies."""

    members: dict[str, Member] = field(default_factory=dict)
    authority: trust.Authority | None = None
    """Whoever issued the nodes' credentials; None if they have none."""

    @property
    def participants(self) -> dict[str, Participant]:
        """The nodes as the outside sees them."""
        return {name: member.participant for name, member in self.members.items()}

    async def first_death(self) -> str:
        """Wait until a node ends by itself; return its name and the end of its log."""
        processes = [member.process for member in self.members.values()]
        if self.authority is not None:
            processes.append(self.authority.process)
        deaths = [asyncio.create_task(process.ended()) for process in processes]
        try:
            done, _ = await asyncio.wait(deaths, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for death in deaths:
                death.cancel()

    def shell(self) -> str:
        """For people with a shell: variables with each node's management address, API key, DSP address and number."""
        lines = []
        for name, who in self.participants.items():
            variable = name.upper().replace("-", "_")
            values = {"": who.management, "_KEY": who.api_key, "_DSP": who.dsp, "_DID": who.did, "_BPN": who.bpn}
            lines += [f"{variable}{suffix}={value}\n" for suffix, value in values.items()]
        return "".join(lines)

    def pair_json(self, label: str) -> dict[str, Any]:
        """Cell maker and OEM as measuring tools want a pair of connectors. Raise Invalid if one is missing."""
        if CELL_MAKER.name not in self.members or OEM.name not in self.members:
            raise Invalid("a pair needs at least two nodes")
        sides = {"provider": CELL_MAKER.name, "consumer": OEM.name}
        pair: dict[str, Any] = {"label": label, "protocol": PROTOCOL}
        for side, name in sides.items():
            shown = self.members[name].to_json()
            pair[side] = {"participant_id": shown["did"]} | {
                key: shown[key] for key in ("management", "api_key", "dsp", "bpn", "pid", "ready_s", "public")
            }
        return pair


@dataclass(frozen=True, slots=True)
class Place:
    """Where a company's node is to be: its folder and its two ports."""

    company: Company
    folder: Path
    public: int
    management: int
    database: str

    @property
    def did(self) -> str:
        """localhost, as did:web does not allow addresses."""
        return did_of_url(f"http://localhost:{self.public}")


@asynccontextmanager
async def sandbox(
    count: int, folder: Path | None = None, databases: Databases = in_files, *, credentials: bool = False
) -> AsyncIterator[Sandbox]:
    """A running sandbox of `count` nodes; on the way out all of them end.

    folder: kept, with everything in it; None takes a temporary one that is removed at the end.
    databases: where the nodes keep their data.
    credentials: with an authority, whose credentials the nodes show one another (identity dcp); else their DIDs do.
    Raise LocalError if a node does not start.
    """
    async with AsyncExitStack() as stack:
        if folder is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connector-sandbox-")))
        else:
            root = _made(folder)
        wanted = companies(count)
        urls = await stack.enter_async_context(databases(folder, [company.name for company in wanted]))
        with Ports() as ports:
            places = _places(root, wanted, ports, urls)
            issuer = _authority_place(root, ports) if credentials else None
            participants = [_prepare(place, places, issuer) for place in places]
            ports.hand_over()
            authority = None
            if issuer is not None:
                authority = await trust.start(issuer, participants)
                stack.push_async_callback(authority.process.stop)
            box = replace(await _start(places, participants, stack), authority=authority)
            if authority is not None:
                await asyncio.gather(*(trust.has_credentials(who, authority.did) for who in participants))
            write_atomically(root / SHELL_FILE, box.shell())
            yield box


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


async def _start(places: Sequence[Place], participants: Sequence[Participant], stack: AsyncExitStack) -> Sandbox:
    async def member(place: Place, participant: Participant) -> Member:
        config, log = place.folder / CONFIG_FILE, place.folder / LOG_FILE
        process = await NodeProcess.start(place.company.name, config, log)
        running.append(process)
        return Member(participant, process, place.folder)

    running: list[NodeProcess] = []

    async def stop() -> None:
        await asyncio.gather(*(process.stop() for process in running))

    stack.push_async_callback(stop)
    starting = [asyncio.create_task(member(*pair)) for pair in zip(places, participants, strict=True)]
    try:
        members = await asyncio.gather(*starting)
    except BaseException:
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        raise
    return Sandbox({m.participant.name: m for m in members})


def _places(root: Path, wanted: Sequence[Company], ports: Ports, urls: Mapping[str, str]) -> list[Place]:
    """A place for each company: the one it had in this folder before, or a new one."""
    file = root / PORTS_FILE
    known: dict[str, list[int]] = json.loads(file.read_bytes()) if file.exists() else {}
    for company in wanted:
        if company.name not in known:
            known[company.name] = [ports.take(), ports.take()]
    file.write_text(json.dumps(known), encoding="utf-8")
    return [Place(c, root / c.name, known[c.name][0], known[c.name][1], urls[c.name]) for c in wanted]


def _authority_place(root: Path, ports: Ports) -> trust.Place:
    file = root / PORTS_FILE
    known: dict[str, list[int]] = json.loads(file.read_bytes())
    if trust.NAME not in known:
        known[trust.NAME] = [ports.take(), ports.take()]
        file.write_text(json.dumps(known), encoding="utf-8")
    return trust.Place(root / trust.NAME, *known[trust.NAME])


def _prepare(place: Place, places: Sequence[Place], issuer: trust.Place | None) -> Participant:
    """Write a node's settings and API key."""
    place.folder.mkdir(exist_ok=True)
    key_file = place.folder / KEY_FILE
    make_api_key(key_file)
    if place.database != SQLITE:
        write_atomically(place.folder / STORE_FILE, place.database)  # it may hold a password
    (place.folder / CONFIG_FILE).write_text(_settings(place, places, key_file, issuer), encoding="utf-8")
    return Participant(
        name=place.company.name,
        title=place.company.title,
        did=place.did,
        bpn=place.company.bpn,
        dsp=f"http://{HOST}:{place.public}/api/v1/dsp/2025-1",
        management=f"http://{HOST}:{place.management}/management",
        api_key=key_file.read_text(encoding="utf-8"),
    )


def _settings(place: Place, places: Sequence[Place], key_file: Path, issuer: trust.Place | None) -> str:
    """A node's TOML file."""
    sections: dict[str, dict[str, object]] = {
        "node": {
            "did": place.did,
            "bpn": place.company.bpn,
            "data": str(place.folder / "data"),
            "development": True,
        },
        "public": {"url": f"http://{HOST}:{place.public}", "host": HOST, "port": place.public},
        "management": {"host": HOST, "port": place.management, "key": f"file:{key_file}"},
        "store": {"url": f"file:{place.folder / STORE_FILE}" if place.database != SQLITE else SQLITE},
    }
    if issuer is None:
        sections["directory"] = {other.company.bpn: other.did for other in places}
    else:
        sections |= issuer.node_sections()
    return to_toml(sections)
