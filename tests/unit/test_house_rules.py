"""What the project promises about itself: sizes, purity, documentation. The lists of exceptions may only shrink."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import connector
from connector.cli import main
from docs import generate

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "connector").rglob("*.py"))
LONGEST_MODULE, MEDIAN_MODULE, LONGEST_FUNCTION = 600, 250, 40
LONG_FUNCTIONS: frozenset[str] = frozenset()
"""Functions that may be longer than LONGEST_FUNCTION, as `path:name`."""
PURE = ("protocol", "policy")
IMPURE_MODULES = frozenset({"asyncio", "os", "random", "secrets", "socket", "subprocess", "threading", "time", "uuid"})
LAZY = ("alembic", "jsonschema", "psycopg", "pyld", "rdflib")
"""Imported inside the functions that use them: a node starts without them. (structlog imports rich by itself.)"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(module: Path) -> str:
    return module.relative_to(ROOT).as_posix()


def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def lines_of(module: Path) -> int:
    return len(module.read_text(encoding="utf-8").splitlines())


def functions() -> Iterator[tuple[str, Function]]:
    for module in MODULES:
        for node in ast.walk(tree_of(module)):
            if isinstance(node, Function):
                yield f"{name_of(module)}:{node.name}", node


def length(function: Function) -> int:
    """Lines of a function without its docstring."""
    assert function.end_lineno is not None
    first, doc = function.body[0], ast.get_docstring(function)
    return function.end_lineno - function.lineno + 1 - (doc is not None and (first.end_lineno or 0) - first.lineno + 1)


def test_modules_are_short() -> None:
    assert {name_of(m): n for m in MODULES if (n := lines_of(m)) > LONGEST_MODULE} == {}
    assert statistics.median(map(lines_of, MODULES)) < MEDIAN_MODULE


def test_functions_are_short() -> None:
    assert {name for name, f in functions() if length(f) > LONGEST_FUNCTION} == LONG_FUNCTIONS


def test_the_length_of_a_function_does_not_count_its_docstring() -> None:
    function = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n').body[0]
    assert isinstance(function, ast.FunctionDef)
    assert length(function) == 2


@pytest.mark.parametrize("package", PURE)
def test_the_core_has_no_clock_no_chance_no_input_and_no_dependency(package: str) -> None:
    allowed = sys.stdlib_module_names - IMPURE_MODULES | {"typing_extensions"}
    for module in (ROOT / "connector" / package).rglob("*.py"):
        for node in ast.walk(tree_of(module)):
            for name in imported(node):
                inside = name.startswith("connector.") and name.split(".")[1] in PURE
                assert inside or name.split(".")[0] in allowed, f"{name_of(module)} imports {name}"


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_a_node_starts_without_the_heavy_libraries() -> None:
    program = f"import sys, connector.wiring; print([m for m in {LAZY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert done.stdout.strip() == "[]"


def test_every_exception_from_a_lint_rule_says_why() -> None:
    sources = [*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.py")]
    bare = re.compile(r"#\s*(ruff: )?noqa(?!: [A-Z0-9, ]+ - \S)")
    for source in sources:
        for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
            assert source == Path(__file__) or not bare.search(line), f"{name_of(source)}:{number}: {line.strip()}"


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX)\b|NotImplementedError")
    assert [name_of(m) for m in MODULES if later.search(m.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("page", generate.PAGES)
def test_generated_pages_are_up_to_date(page: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == generate.PAGES[page](), "run make docs"


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d[^\]]*)\]", changes, re.MULTILINE)
    assert [connector.__version__, project["version"], released[0]] == [project["version"]] * 3


def test_locks_name_no_registry_and_pin_every_package_by_hash() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text(encoding="utf-8")
        assert not re.search(r"https?://|index-url|find-links", text), lock.name
        packages = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
        assert all("--hash=sha256:" in package for package in packages), lock.name


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from commands(found, f"{name} {inner}")


def test_every_command_and_every_option_says_what_it_is_for() -> None:
    silent = []
    for name, command in commands(main, "connector"):
        silent += [name] if not command.help else []
        silent += [f"{name} {o.name}" for o in command.params if isinstance(o, click.Option) and not o.help]
    assert silent == []
