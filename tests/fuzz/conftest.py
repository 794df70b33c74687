"""What is fuzzed, once for each module of tests; what used it must leave it in order."""

from collections.abc import Iterator

import pytest

from tests.fuzz.fuzz_world import FuzzedNode, Known
from tests.fuzz.trust_world import FuzzedTrust


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FuzzedNode]:
    """A running node. At the end it must have logged no surprise, still do its work and hold what belongs together."""
    with FuzzedNode(tmp_path_factory.mktemp("fuzzed")) as node:
        yield node
        node.assert_sound()


@pytest.fixture
def known(fuzzed: FuzzedNode) -> Iterator[Known]:
    """Fresh objects and processes on the node, whose counterparty answers while the test runs."""
    with fuzzed.stocked() as stock:
        yield stock


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FuzzedTrust]:
    """A running wallet and a running authority, with the same demands at the end."""
    with FuzzedTrust(tmp_path_factory.mktemp("trust")) as programs:
        yield programs
        programs.assert_sound()
