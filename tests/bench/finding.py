"""From what stands on a battery to a verified passport, through the management APIs of a fresh pair of nodes.

The first scan of a maker's battery looks for its registry and makes two contracts. What people do all day is warm: the
next battery of a maker whose registry is open, and the same battery again.
"""

from copy import deepcopy
from typing import Any

from connector.client import Client, For, template
from connector.demo_data import passports
from connector.sandbox.nodes import Sandbox
from connector.sandbox.participants import CELL_MAKER, OEM
from tests.bench.load import timed
from tests.bench.report import Report, Target

WARM = Target(120)


async def measure(box: Sandbox, rounds: int, report: Report) -> None:
    """Publish a passport for each of `rounds` scans and one more, then find them."""
    maker, oem = box.participants[CELL_MAKER.name], box.participants[OEM.name]
    async with Client(maker.management, maker.api_key) as provider, Client(oem.management, oem.api_key) as consumer:
        only = template("by-bpn", [oem.bpn])
        offer = For("partner", "cx.circular.dpp:1", only, only)
        serials = [f"BENCH-{number}" for number in range(rounds + 1)]
        for number, serial in enumerate(serials):
            await provider.passports.publish(battery(number, serial), [offer])

        async def find(serial: str) -> None:
            found = await consumer.find(serial, provider=maker.did)
            if found.fetched.verified is None or not found.fetched.verified.ok:
                raise ValueError(f"the passport of {serial} does not verify: {found.steps}")

        first, *others = serials
        report.add("find a passport, first scan of a maker", "ms", await timed(1, lambda: find(first), warm_up=0))
        scans = iter(others)
        took = await timed(rounds, lambda: find(next(scans)), warm_up=0)
        report.add("find a passport, the maker's next battery", "ms", took, WARM)
        report.add("find a passport, the same battery again", "ms", await timed(rounds, lambda: find(first)), WARM)


def battery(number: int, serial: str) -> dict[str, Any]:
    """A passport of its own for each number."""
    passport = deepcopy(passports()[0])
    passport["metadata"]["passportIdentifier"] = f"urn:uuid:00000000-0000-4000-8000-{number:012d}"
    parts = passport["identification"]["identification"]["serial"]
    next(part for part in parts if part["key"] == "partInstanceId")["value"] = serial
    return passport
