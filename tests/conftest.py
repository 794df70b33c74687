"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.postgres_cluster import Server

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let `-k` find a test by the names of the conformance cases that it proves."""
    for item in items:
        for mark in item.iter_markers("dcp_case"):
            item.extra_keyword_matches.update(mark.args)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The official artefacts that are tested against; they are no part of this project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the official artefacts are not at ../shared/data beside this repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def postgres() -> Iterator["Server"]:
    """A PostgreSQL server of this run's own."""
    from tests.integration import postgres_cluster  # noqa: PLC0415 - only for the tests that need it

    with postgres_cluster.server() as running:
        yield running


@pytest.fixture
def database(postgres: "Server") -> Iterator[str]:
    """The URL of a PostgreSQL database with empty tables, for one test."""
    with postgres.database() as url:
        yield url
