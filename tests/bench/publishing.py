"""What passports cost: publishing them through the management API of a node, and disclosing and verifying one.

Each published passport is another battery with an offer for one reader: validated, judged complete, classified, signed
as a credential, kept durably, put into the catalog. Disclosing is what a provider does for a reader, down to the signed
view and the key binding; verifying is what the reader does with both. Those two are measured without a network.
"""

import asyncio
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final

from connector.client import Client, For, template
from connector.demo_data import passports
from connector.identity.did import did_document, keys_in
from connector.passport import credential, sdjwt
from connector.passport.audiences import Reading, lattice
from connector.passport.credential import AGREEMENT, About
from connector.passport.disclosure import class_map
from connector.passport.report import Bundle, verify
from connector.passport.signature import sign
from connector.sandbox.nodes import Sandbox
from connector.sandbox.participants import CELL_MAKER, OEM
from tests.bench.report import Report, Target
from tests.unit.passport_world import KEY, MAKER, NOW, PASSPORT_ID, READER, salts

PUBLISHED: Final = Target(200, at_least=True)
IN_FLIGHT: Final = 16


async def measure(box: Sandbox, count: int, rounds: int, report: Report) -> None:
    """Publish `count` passports `rounds` times in a sandbox's node; then disclose and verify `count` times."""
    maker, oem = box.participants[CELL_MAKER.name], box.participants[OEM.name]
    policy = template("by-bpn", [oem.bpn])
    async with Client(maker.management, maker.api_key) as client:
        await client.policies.put("bench", policy)
        offer = For("partner", "cx.circular.dpp:1", "bench", "bench")
        await _publish(client, offer, IN_FLIGHT)
        rates = [await _publish(client, offer, count) for _ in range(rounds)]
    report.add(f"passports published, {IN_FLIGHT} in flight", "/s", rates, PUBLISHED)
    both = [_disclosed_and_verified() for _ in range(count)]
    report.add("passport disclosed to a reader (CPU)", "ms", [one * 1000 for one, _ in both])
    report.add("passport verified by a reader (CPU)", "ms", [other * 1000 for _, other in both])
    report.add("passports disclosed and verified, on one core", "/s", [1 / (one + other) for one, other in both])


async def _publish(client: Client, offer: For, count: int) -> float:
    """Passports a second."""
    waiting = iter(list(_batteries(count)))

    async def work() -> None:
        for passport in waiting:
            await client.passports.publish(passport, [offer])

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return count / (time.perf_counter() - began)


def _batteries(count: int) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        passport = passports()[0]
        number = str(uuid.uuid4())
        passport["metadata"]["passportIdentifier"] = f"urn:uuid:{number}"
        passport["identification"]["identification"]["serial"][1]["value"] = f"HVE78-{number}"
        yield passport


def _disclosed_and_verified() -> tuple[float, float]:
    """Seconds of processor time for each, with a credential that is new to both."""
    known, passport = class_map(), passports()[0]
    about = About(PASSPORT_ID, known.aspect, 1, NOW // 1000, known.edition, "bench")
    issued = credential.issue(about, known.split(passport).fields, known, KEY, salts())
    classes = lattice().classes(Reading("interest", "recycle"), PASSPORT_ID)
    began = time.process_time()
    aspect = known.project(passport, classes)
    signature = sign(aspect, KEY)
    shown = credential.present(issued, known, classes)
    bound = sdjwt.bind(shown, KEY, audience=READER, nonce="n", now_s=NOW // 1000, **{AGREEMENT: "a"})
    disclosed = time.process_time()
    document = did_document(MAKER, [KEY])
    bundle = Bundle(bound.text, aspect, signature, known.aspect, READER, "n", "a", NOW, document)
    if not verify(bundle, keys_in(document)).ok:
        raise ValueError("the presentation does not verify")
    return disclosed - began, time.process_time() - disclosed
