"""One passport, three readers: each sees its own part of it, all can prove it, and one flipped byte is found and named.

What a reader sees follows from what the maker offers the passport for, never from what the reader says of itself. What
it does not see shows as a class and a digest, and as nothing else. The files that readers keep are judged here in this
process, and no node is asked: a file is enough.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connector.client import Client, For, Provider, template
from connector.demo_data import passports
from connector.identity.did import keys_in
from connector.passport.disclosure import class_map
from connector.passport.report import Bundle, Report, verify
from connector.passport.sdjwt import Disclosure, SdJwt, digest_of
from connector.sandbox.participants import CELL_MAKER, OEM, RECYCLER, SURVEILLANCE, Company, Participant
from connector.sandbox.telling import NotHeldError, Step, Telling, hold


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, as whom, and the disclosure classes that are therefore to be seen."""

    company: Company
    audience: str
    purpose: str
    sees: frozenset[str]

    def offer(self, bpn: str) -> For:
        """What the maker publishes the passport for. A contract with a partner names the classes that it opens."""
        only = template("by-bpn", [bpn])
        classes = tuple(sorted(self.sees)) if self.audience == "partner" else None
        return For(self.audience, self.purpose, only, only, classes)


_LAW: Final = frozenset({"public-model", "restricted-model", "conformity", "individual"})
READERS: Final = (
    Reader(OEM, "partner", "cx.circular.dpp:1", _LAW),
    Reader(RECYCLER, "interest", "recycle", _LAW - {"conformity"}),
    Reader(SURVEILLANCE, "authority", "surveillance", _LAW - {"individual"}),
)

_GLIMPSES: Final[Mapping[str, Callable[[Any], str]]] = {
    "public-model": lambda p: str(p["identification"]["chemistry"]),
    "restricted-model": lambda p: f"{len(p['materials']['composition'])} materials in its composition",
    "conformity": lambda p: str(p["conformity"]["resultOfTestReport"][0]["content"]),
    "individual": lambda p: f"state of charge {p['performance']['dynamic']['stateOfCharge']['value']:g} %",
}
"""For a person, one thing of each class."""

_CHARGE: Final = re.compile(rb'"stateOfCharge": \{[^}]*"value": (\d)')
_TEST_LINK: Final = re.compile(rb'"content":"https://(\w)')
_CHARGE_FIELD: Final = "/performance/dynamic/stateOfCharge"
_TEST_GROUP: Final = "conformity/test-results"


class Reading:
    """The chapter, on nodes and with clients that are there for all of `READERS` and the cell maker, by name."""

    def __init__(self, nodes: Mapping[str, Participant], clients: Mapping[str, Client], telling: Telling) -> None:
        self._nodes = nodes
        self._clients = clients
        self._telling = telling
        self._maker = nodes[CELL_MAKER.name]
        self._passport = passports()[0]
        self._kept: dict[str, dict[str, Any]] = {}

    async def tell(self) -> None:
        """Publish once, have everybody read, and spoil what they keep."""
        serial = await self._publish()
        for reader in READERS:
            await self._read(reader, serial)
        self._compare()
        self._spoil_aspect()
        self._spoil_credential()

    async def _publish(self) -> str:
        offers = [reader.offer(self._nodes[reader.company.name].bpn) for reader in READERS]
        with self._telling.step(self._maker.title, "publishes one passport for three readers") as step:
            done = await self._clients[CELL_MAKER.name].passports.publish(self._passport, offers)
            hold(len(done["offers"]) == len(READERS), f"it is offered {len(done['offers'])} times")
            complete = done["completeness"]
            step.note(f"complete for {complete['category']} at {complete['date']}; signed once, group by group")
            for reader in READERS:
                step.note(f"for {reader.audience}, {reader.purpose}: {self._nodes[reader.company.name].title}")
        return str(done["serial"])

    async def _read(self, reader: Reader, serial: str) -> None:
        """Contract, transfer, data and verdict; then the file on its own must prove the same."""
        who = self._nodes[reader.company.name]
        with self._telling.step(who.title, f"reads battery {serial}", self._maker.title) as step:
            provider = Provider(self._maker.did, self._maker.dsp)
            got = await self._clients[who.name].passports.fetch(provider, serial)
            checks = {**got["verification"], **got["report"]["checks"]}
            failed = {name: check["detail"] for name, check in checks.items() if not check["ok"]}
            hold(got["ok"] and not failed, f"it is not to be trusted: {failed}")
            step.note(f"ok  {', '.join(checks)}")
            bundle = self._kept[who.name] = got["bundle"]
            hold(_judge(_file(bundle)).ok, "its node has verified it, but the file alone does not prove it")
            expected = class_map().project(self._passport, reader.sees)
            hold(bundle["aspect"] == expected, "what it sees is not what it is to see")
            _show(step, got["report"], bundle["aspect"])
            hidden = {row["class"] for row in got["report"]["hidden"]}
            hold(_LAW - reader.sees <= hidden, f"withheld are only {', '.join(sorted(hidden)) or 'no classes'}")

    def _compare(self) -> None:
        title = self._nodes[OEM.name].title
        with self._telling.step(title, "and the others hold parts of one and the same passport") as step:
            signed = {digest_of(SdJwt.parse(bundle["credential"]).jwt) for bundle in self._kept.values()}
            hold(len(signed) == 1, f"they were given {len(signed)} different ones")
            step.note(f"what was signed has the digest {signed.pop()} for all three")

    def _spoil_aspect(self) -> None:
        who = self._nodes[RECYCLER.name]
        with self._telling.step(who.title, "verifies its file, in which one byte was flipped: a number") as step:
            file = _file(self._kept[who.name])
            spoilt = flipped(file, _CHARGE)
            was, now = (_GLIMPSES["individual"](json.loads(each)["aspect"]) for each in (file, spoilt))
            step.note(f"it was: {was}; it is: {now}")
            _caught(step, file, spoilt, "aspect", _CHARGE_FIELD)

    def _spoil_credential(self) -> None:
        who = self._nodes[SURVEILLANCE.name]
        with self._telling.step(who.title, "verifies its file, in which one byte was flipped: a link") as step:
            file = _file(self._kept[who.name])
            disclosures = SdJwt.parse(self._kept[who.name]["credential"]).disclosures
            encoded = next(each for each in disclosures if Disclosure.parse(each).name == _TEST_GROUP)
            changed = _b64(flipped(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)), _TEST_LINK))
            step.note("the address of the test results in the credential has become another one")
            _caught(step, file, file.replace(encoded.encode(), changed), "credential", _TEST_GROUP)


def _show(step: Step, report: Mapping[str, Any], aspect: Mapping[str, Any]) -> None:
    """What is seen, by class; and what is withheld, of which there is nothing to show but class and digest."""
    seen = [row["class"] for row in report["fields"]]
    for name, glimpse in _GLIMPSES.items():
        if name in seen:
            step.note(f"sees      {name:20} {seen.count(name)} fields, one of them: {glimpse(aspect)}")
    withheld: dict[str, list[str]] = {}
    for row in report["hidden"]:
        withheld.setdefault(row["class"], []).append(row["digest"])
    for name, digests in withheld.items():
        more = f" and {len(digests) - 1} more" if len(digests) > 1 else ""
        step.note(f"withheld  {name:20} digest {digests[0]}{more}")


def _caught(step: Step, file: bytes, spoilt: bytes, check: str, place: str) -> None:
    """The file differs in one byte; its verification fails there, and says where that is."""
    changes = [at for at, (was, became) in enumerate(zip(file, spoilt, strict=True)) if was != became]
    hold(len(changes) == 1, f"{len(changes)} bytes were changed")
    report = _judge(spoilt)
    failed = {name: found.detail for name, found in report.checks.items() if not found.ok}
    hold(place in failed.get(check, ""), f"it is not named: {failed or 'everything seems to be right'}")
    for name, detail in failed.items():
        step.note(f"refused  {name}: {detail}")


def _judge(file: bytes) -> Report:
    bundle = Bundle.parse(json.loads(file))
    return verify(bundle, keys_in(bundle.did_document))


def _file(bundle: Mapping[str, Any]) -> bytes:
    return json.dumps(bundle, ensure_ascii=False).encode()


def flipped(data: bytes, pattern: re.Pattern[bytes]) -> bytes:
    """Flip the lowest bit of the byte that the group of `pattern` stands for: 6 becomes 7, d becomes e."""
    found = pattern.search(data)
    if found is None:
        raise NotHeldError("what was to be flipped is not there")
    at = found.start(1)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
