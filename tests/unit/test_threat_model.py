"""The threat model names what exists: every row a module and a test. And proofs that are about the source itself."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "connector").rglob("*.py"))
HEADER = "| Threat | What we do (module) | Test |"
LEAST_ROWS = 30
QUOTED = re.compile(r"`([^`]+)`")


class Row(NamedTuple):
    """One threat; `modules` and `tests` are what stands in back quotes."""

    threat: str
    modules: list[str]
    tests: list[str]


def rows(page: str) -> list[Row]:
    table = page.partition(f"\n{HEADER}\n")[2].partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1:]]
    assert all(len(cell) == 3 for cell in cells), "a row has three cells"
    return [
        Row(threat, [m for m in QUOTED.findall(done) if "/" in m or m[0].isupper()], QUOTED.findall(proof))
        for threat, done, proof in cells
    ]


ROWS = rows(PAGE)


@lru_cache
def named_in(path: str) -> frozenset[str]:
    """The tests in a file, found without running it."""
    file = ROOT / path
    if not (file.is_file() and file.name.startswith("test_") and path.startswith("tests/")):
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(f.name for f in functions if f.name.startswith("test_"))


def faults(row: Row) -> list[str]:
    """What is wrong with a row."""
    found = [f"there is no {module}" for module in row.modules if not (ROOT / module).is_file()]
    if not row.modules:
        found.append("no module is named")
    if not row.tests:
        found.append("no test is named")
    for test in row.tests:
        path, _, name = test.partition("::")
        if name not in named_in(path):
            found.append(f"there is no test {test}")
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.threat[:60])
def test_every_threat_has_a_module_and_a_test_that_exist(row: Row) -> None:
    assert faults(row) == []


def test_there_are_many_and_each_is_named_once() -> None:
    threats = [row.threat for row in ROWS]
    assert len(threats) >= LEAST_ROWS
    assert len(set(threats)) == len(threats)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            "| A | B (`connector/gone.py`) | `tests/unit/test_threat_model.py::test_there_are_many` |",
            "connector/gone.py",
        ),
        ("| A | B (`connector/config.py`) | `tests/unit/test_threat_model.py::test_gone` |", "no test tests/unit"),
        ("| A | B (`connector/config.py`) | `tests/unit/test_gone.py::test_x` |", "no test tests/unit/test_gone.py"),
        ("| A | B (`connector/config.py`) | by reading |", "no test is named"),
        ("| A | B | `tests/unit/test_threat_model.py::test_nothing_from_outside_is_run` |", "no module is named"),
    ],
)
def test_a_row_that_names_what_is_not_there_is_noticed(line: str, fault: str) -> None:
    (row,) = rows(f"\n{HEADER}\n|---|---|---|\n{line}\n\n")
    assert fault in "; ".join(faults(row))


def test_the_page_admits_what_is_not_solved_and_is_linked_from_where_people_report() -> None:
    assert len(re.findall(r"^- \*\*", PAGE.partition("## Accepted risks")[2], re.MULTILINE)) > 5
    assert "(docs/threat-model.md)" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


# Proofs about the source itself


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """(module, what is called, the call), for all of the product."""
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield source.relative_to(ROOT).as_posix(), ast.unparse(node.func), node


RUNS = re.compile(
    r"(eval|exec|compile|__import__|os\.(system|popen|exec\w*|spawn\w*)|(pickle|marshal|shelve|dill)\.\w+|yaml\.(unsafe_)?load"
    r"|subprocess\.\w+|asyncio\.create_subprocess_\w+|importlib\.import_module)"
)
OPERATORS_OWN = {
    "connector/wiring/parts.py": "importlib.import_module",  # plug-ins, named in the settings
    "connector/storage/postgres_upkeep.py": "subprocess.run",  # `connector db`: the tools of PostgreSQL, no shell
}


def test_nothing_from_outside_is_run() -> None:
    for module, name, _ in calls():
        inside = not module.startswith(("connector/cli/", "connector/sandbox/"))  # tools of the operator, not a node
        assert not (inside and RUNS.fullmatch(name) and OPERATORS_OWN.get(module) != name), f"{module} calls {name}"


def test_keys_and_tokens_are_compared_in_constant_time() -> None:
    border = (ROOT / "connector/http/management/border.py").read_text(encoding="utf-8")
    assert "hmac.compare_digest(given, expected)" in border
    tokens = (ROOT / "connector/dataplane/tokens.py").read_text(encoding="utf-8")
    assert tokens.count("hmac.compare_digest(shown") == 2
    secret = re.compile(r"(api_key|refresh_token|given|shown)$")
    for module in ("connector/http/management/border.py", "connector/dataplane/tokens.py"):
        for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                compared = [ast.unparse(side) for side in (node.left, *node.comparators)]
                assert not any(secret.search(side) for side in compared), f"{module}: {ast.unparse(node)}"


def test_only_catalogs_are_packed() -> None:
    packing = {module for module, name, _ in calls() if name == "compress" or name.endswith("enable_compression")}
    assert packing <= {"connector/http/dsp.py", "connector/http/middleware.py", "connector/http/management/catalog.py"}
    dsp = ast.parse((ROOT / "connector/http/dsp.py").read_text(encoding="utf-8"))
    packers = [
        function.name
        for function in ast.walk(dsp)
        if isinstance(function, ast.AsyncFunctionDef) and "compress(" in ast.unparse(function)
    ]
    assert packers == ["catalog"]


def test_the_image_installs_only_what_is_locked() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"pip install (.*)", image)
    assert installs
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation ." in line for line in installs)
