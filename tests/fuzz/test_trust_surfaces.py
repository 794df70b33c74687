"""Every operation of wallets and authorities, as test_surfaces.py does with the other surfaces."""

import pytest
from schemathesis import GenerationMode

from tests.fuzz.attacks import attack, attacks
from tests.fuzz.surfaces import TRUST, Operation
from tests.fuzz.trust_world import FuzzedTrust

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")
"""Hypothesis notices the programs, which draw their jitter on the other thread."""


@pytest.mark.parametrize(("operation", "mode"), attacks(lambda surface: surface in TRUST, few=5))
def test_every_request_gets_an_answer_that_the_file_promises(
    trust: FuzzedTrust, operation: Operation, mode: GenerationMode
) -> None:
    with trust.stocked() as stock:
        attack(
            trust,
            operation,
            mode,
            base_url=trust.base(operation),
            known=stock.known,
            headers=lambda: trust.headers(operation, stock),
        )
