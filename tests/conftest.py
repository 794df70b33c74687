"""What all tests share."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The official artefacts that are tested against; they are no part of this project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the official artefacts are not at ../shared/data beside this repository")
    return SHARED_DATA
