"""No case of the official kit for DCP 1.0 is left without a test of ours, and our list is the kit's own."""

import importlib
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.integration.dcp_cases import CASES, ISSUER, VERIFIER, WALLET
from tests.tck import dcp
from tests.unit.docs_pages import quoted, read

SWITCHED_OFF = {
    "cs_05_04_01_01_invalidPresentationEscalationRequest",
    "cs_05_04_01_01_presentationRequest",
    "cs_05_04_01_02_lessTypesThanAuthorizedByTypeRequest",
}
"""What the kit has, but does not run: presentation definitions."""


def functions_of(module: ModuleType) -> Iterator[object]:
    """Every test that pytest would run, and the classes around them, which may be marked too."""
    for name, member in vars(module).items():
        if name.startswith("test_"):
            yield member
        elif name.startswith("Test"):
            yield member
            yield from (method for inner, method in vars(member).items() if inner.startswith("test_"))


def proved(module: str) -> set[str]:
    """The cases that the tests of a module are marked with, as a whole or in one of their rows."""
    marks: list[pytest.Mark] = []
    for test in functions_of(importlib.import_module(f"tests.integration.{module}")):
        marks += getattr(test, "pytestmark", [])
    rows = [row for mark in marks if mark.name == "parametrize" for row in mark.args[1]]
    marks += [marked.mark for row in rows for marked in getattr(row, "marks", ())]
    return {name for mark in marks if mark.name == "dcp_case" for name in mark.args}


ROLES = (
    ("test_dcp_wallet", WALLET, 40, dcp.WALLET),
    ("test_dcp_verifier", VERIFIER, 20, dcp.VERIFIER),
    ("test_issuer", ISSUER, 25, dcp.ISSUER),
)


@pytest.mark.parametrize(("module", "cases", "count"), [role[:3] for role in ROLES])
def test_each_case_has_a_test(module: str, cases: frozenset[str], count: int) -> None:
    assert len(cases) == count
    assert proved(module) == cases


def test_a_misspelt_case_is_noticed() -> None:
    from tests.integration.dcp_cases import case  # noqa: PLC0415 - used here alone

    with pytest.raises(ValueError, match="no case of the kit: is_6_2_endpointDiscovry"):
        case("is_6_2_endpointDiscovry")


def test_what_make_tck_excepts_are_cases() -> None:
    for _, cases, count, role in ROLES:
        assert role.cases == count
        assert role.excepted.keys() <= cases


def test_the_page_tells_where_each_role_is_tried_and_what_is_excepted() -> None:
    page = read("docs/dcp-conformance.md")
    for module, _, count, _ in ROLES:
        assert f"| {count} | `tests/integration/{module}.py` |" in page
    assert CASES.intersection(quoted(page)) == {name for *_, role in ROLES for name in role.excepted}


def kits() -> list[Path]:
    """The test cases of each version of the kit that its runner has fetched."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return sorted(cache.glob("dcp-tck-*/dcp-testcases-*.jar"))


def methods(jar: Path) -> set[str]:
    """Names in the classes of a jar that are written as the kit writes those of its cases.

    A name stands in a class file after a byte 1 and its length in two bytes (JVM specification, 4.4.7).
    """
    written = re.compile(rb"\x01\x00(.)((?:cs|verifier|is)_\w+|presentationResponse_\w+)", re.DOTALL)
    with zipfile.ZipFile(jar) as classes:
        contents = [classes.read(name) for name in classes.namelist() if name.endswith("Test.class")]
    return {name[: length[0]].decode() for content in contents for length, name in written.findall(content)}


def test_the_list_is_the_kits_own() -> None:
    jars = kits()
    if not jars:
        pytest.skip("the official DCP kit has not been fetched; make tck does")
    for jar in jars:
        assert methods(jar) == CASES | SWITCHED_OFF
