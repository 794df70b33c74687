"""The examples in our OpenAPI file of the protocol are what the official schemas want."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conformance.official import faults

FILE = Path(__file__).parents[2] / "docs" / "openapi" / "dsp.yaml"


def examples() -> list[Any]:
    schemas = yaml.safe_load(FILE.read_text(encoding="utf-8"))["components"]["schemas"]
    return [
        pytest.param(doc, id=f"{name}-{number}")
        for name, schema in schemas.items()
        for number, doc in enumerate(schema.get("examples", []))
        if "@type" in doc or name == "VersionResponse"
    ]


@pytest.mark.usefixtures("shared_data")
@pytest.mark.parametrize("doc", examples())
def test_example_fulfils_the_official_schema(doc: dict[str, Any]) -> None:
    assert faults(doc) == []
