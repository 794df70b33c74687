"""The settings that README.md shows are ten lines with which a node starts. (test_docs_pages.py types its tour.)"""

import tomllib
from pathlib import Path

from connector import config
from tests.unit.docs_pages import blocks, read, section


def test_the_example_settings_are_few_and_accepted(tmp_path: Path) -> None:
    (key := tmp_path / "api-key").write_text("0123456789")
    (example,) = (b.content for b in blocks(section(read("README.md"), "Running a node")) if b.language == "toml")
    assert len([line for line in example.splitlines() if line]) <= 10
    doc = tomllib.loads(example.replace("/run/secrets/api-key", str(key)))
    assert config.parse(doc, {}).management_key == "0123456789"
