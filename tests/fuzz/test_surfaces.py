"""Every operation of a node's OpenAPI files, with requests that fit its schema and requests that do not.

Whatever comes: an answer within seconds that the file promises, never a failure of our own, and nothing in the log that
nobody expected. `FuzzedNode.assert_sound` looks at the node when all is over. Wallets and authorities:
test_trust_surfaces.py.
"""

import pytest
from schemathesis import GenerationMode

from tests.fuzz.attacks import attack, attacks
from tests.fuzz.fuzz_world import FuzzedNode, Known
from tests.fuzz.surfaces import TRUST, Operation
from tests.integration.dsp_world import KEY, THEM, mock_token

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")
"""Hypothesis notices the node, which draws its jitter on the other thread."""


def base(fuzzed: FuzzedNode, surface: str) -> str:
    match surface:
        case "management":
            return fuzzed.management
        case "twins":
            return fuzzed.world.running.management.url
        case _:
            return fuzzed.public


def credentials(surface: str, known: Known) -> dict[str, str]:
    match surface:
        case "management" | "twins":
            return {"X-Api-Key": KEY}
        case "data-plane":
            return {"Authorization": known["token"]}
        case _:
            return {"Authorization": mock_token(THEM)}


@pytest.mark.parametrize(("operation", "mode"), attacks(lambda surface: surface not in TRUST, few=9))
def test_every_request_gets_an_answer_that_the_file_promises(
    fuzzed: FuzzedNode, known: Known, operation: Operation, mode: GenerationMode
) -> None:
    attack(
        fuzzed,
        operation,
        mode,
        base_url=base(fuzzed, operation.surface),
        known=known,
        headers=lambda: credentials(operation.surface, known),
    )
