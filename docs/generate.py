# ruff: noqa: INP001 - a script, no package
"""Writes those parts of the documentation that follow from the code.

A page says where such a part stands, between two comments:

    <!-- written by make docs: settings -->
    <!-- end -->

Everything else on the page is written by hand. `make docs` fills all parts of all pages; a test fails when one of them
is not what this would write, or when something that can be configured, called or plugged in is on no page.
"""

import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import yaml

import connector
from connector import config
from connector.cli import main as command_line
from connector.cli.connection import URL_VARIABLE
from connector.exchange import events
from connector.metrics.table import TABLE
from connector.protocol import negotiation, transfer

DOCS: Final = Path(__file__).resolve().parent
OPENAPI: Final = DOCS / "openapi"
_SOURCES: Final = Path(connector.__file__).parent
_PART: Final = re.compile(r"(?<=<!-- written by make docs: )([\w-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_PLUG_IN: Final = "package.module:Class"


def filled(page: Path) -> str:
    """The text of a page with all its parts as they should be."""
    return _PART.sub(lambda part: f"{part[1]}{part[2]}\n{PARTS[part[1]]()}\n\n", page.read_text(encoding="utf-8"))


def pages() -> dict[str, Callable[[], str]]:
    """What writes each page that has such parts, by the page's path below docs/."""
    found = (page for page in sorted(DOCS.rglob("*.md")) if _PART.search(page.read_text(encoding="utf-8")))
    return {page.relative_to(DOCS).as_posix(): partial(filled, page) for page in found}


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A table in Markdown. No cell may hold a line end."""
    escaped = (" | ".join(map(_escaped, row)) for row in rows)
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {row} |" for row in escaped)])


def _escaped(cell: str) -> str:
    """Bars end a cell even in code; outside of it, < and * would be taken for marks."""
    plain = re.sub(r"(`[^`]*`)|([<*])", lambda found: found[1] or f"\\{found[2]}", cell)
    return plain.replace("|", r"\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def settings() -> str:
    """Every setting of a node."""
    rows = (
        (_code(key), _code(default).replace("`required`", "required"), text) for key, default, text in config.table()
    )
    return table(("Setting", "Default", "What it does"), rows)


def metrics() -> str:
    """Every metric of a node."""
    rows = ((_code(m.name), m.kind, ", ".join(map(_code, m.labels)), m.help) for m in TABLE)
    return table(("Metric", "Kind", "Labels", "What it tells"), rows)


def states(transitions: Mapping[tuple[Any, Any, Any], Any], terminal: frozenset[Any]) -> str:
    """A state machine, drawn from the table that the code runs on."""
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for (before, event, sender), after in transitions.items():
        arrows[before or "[*]", after].append(f"{event} {sender[0]}")
    lines = [f"    {before} --> {after}: {', '.join(sorted(names))}" for (before, after), names in arrows.items()]
    lines += [f"    {state} --> [*]" for state in sorted(terminal)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def commands(command: click.Command = command_line, name: str = "connector") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before what is in them."""
    yield name, command
    if isinstance(command, click.Group):
        for inner in command.list_commands(context := click.Context(command)):
            found = command.get_command(context, inner)
            assert found is not None  # noqa: S101 - it was listed
            yield from commands(found, f"{name} {inner}")


def command_pages() -> str:
    """Every command that does something: how it is called, what it does, its options."""
    return "\n\n".join(_command(n, c) for n, c in commands() if not isinstance(c, click.Group))


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, max_content_width=1000)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc((command.help or "").replace("\b\n", "")))
    written = [f"## {name}", text, f"`{usage}`"]
    on_node = any(o.envvar == URL_VARIABLE for o in command.params)
    common = {"as_json", "url", "key"} if on_node else {"as_json"}
    rows = [_option(o, context) for o in command.params if isinstance(o, click.Option) and o.name not in common]
    if rows:
        written.append(table(("Option", "What it is"), iter(rows)))
    if on_node:
        written.append("Speaks with a node.")
    return "\n\n".join(written)


def _option(option: click.Option, context: click.Context) -> tuple[str, str]:
    spelled, text = option.get_help_record(context) or ("", "")
    names = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    given = "".join(f" Environment: `{name}`." for name in names)
    return _code(spelled), f"{re.sub(' {2,}', ' ', text)}{given}"


def routes() -> str:
    """Every surface in the words of its OpenAPI file, and its operations with links to their descriptions."""
    return "\n\n".join(_surface(file) for file in sorted(OPENAPI.glob("*.yaml")))


def _surface(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    lines = {m[1]: n for n, line in enumerate(text.splitlines(), 1) if (m := re.match(r" +operationId: (\w+)$", line))}
    described = yaml.safe_load(text)

    def rows() -> Iterator[tuple[str, ...]]:
        for path, item in described["paths"].items():
            for method in _METHODS:
                if method in item:
                    name, what = item[method]["operationId"], item[method]["summary"]
                    yield method.upper(), _code(path), what, f"[{name}](../openapi/{file.name}#L{lines[name]})"

    operations = table(("Method", "Path", "What it does", "Description"), rows())
    return f"## {described['info']['title']}\n\n{described['info']['description'].strip()}\n\n{operations}"


def event_names() -> str:
    """Every event, with the `type` that its callback has."""

    def rows() -> Iterator[tuple[str, str, str]]:
        for name in events.NAMES:
            told = name.startswith(("contract.negotiation.", "transfer.process."))
            kind = "".join(word.capitalize() for word in name.split("."))
            yield _code(name), _code(kind) if told else "", "yes" if told else "no"

    return table(("Event", "`type`", "Callbacks"), rows())


def plug_ins() -> str:
    """Every setting that takes a class of the operator's own."""
    rows = ((_code(key), _code(default), text) for key, default, text in config.table() if _PLUG_IN in text)
    return table(("Setting", "Default", "Takes"), rows)


def ports() -> str:
    """Every Protocol class that an adapter inherits, with what fulfils it."""
    described: dict[str, tuple[str, str]] = {}
    fulfilled: defaultdict[str, list[str]] = defaultdict(list)
    for module, found in _classes():
        bases = [ast.unparse(base).partition("[")[0] for base in found.bases]
        if "Protocol" in bases:
            described[found.name] = (module, _first_line(found))
        for base in bases:
            fulfilled[base].append(found.name)

    def rows() -> Iterator[tuple[str, ...]]:
        for name in sorted(described, key=lambda name: (described[name][0], name)):
            module, text = described[name]
            if by := [n for n in fulfilled[name] if n not in described and not n.startswith("_")]:
                yield f"[`{name}`](../../{module})", text, ", ".join(map(_code, by))

    return table(("Port", "What it is for", "Fulfilled by"), rows())


def refusals() -> str:
    """Every `type` of error that our own side answers with, as the classes say."""

    def rows() -> Iterator[tuple[str, ...]]:
        for _, found in _classes():
            said = dict(re.findall(r"^    (status|kind)(?:: [^=]+)? = '?(\w+)'?$", ast.unparse(found), re.MULTILINE))
            if len(said) == len(("status", "kind")) and found.name != "LocalError":
                yield said["status"], _code(said["kind"]), _first_line(found)

    return table(("Status", "`type`", "When"), iter(sorted(set(rows()))))


def _classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for source in sorted(_SOURCES.rglob("*.py")):
        for node in ast.parse(source.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield source.relative_to(_SOURCES.parent).as_posix(), node


def _first_line(found: ast.ClassDef) -> str:
    return (ast.get_docstring(found) or "").partition("\n")[0]


def rooms() -> str:
    """Every package of the product, in its own words."""

    def rows() -> Iterator[tuple[str, str]]:
        for package in sorted(_SOURCES.glob("*/__init__.py")):
            text = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
            yield (
                f"[`{package.parent.name}/`](../connector/{package.parent.name})",
                text.partition("\n\n")[0].replace("\n", " "),
            )

    return table(("Package", "What is in it"), rows())


def how_tos() -> str:
    """A link to every page below docs/how-to, by its title."""
    found = (
        (page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# "), page) for page in DOCS.glob("how-to/*.md")
    )
    return "\n".join(f"- [{title}](how-to/{page.name})" for title, page in sorted(found))


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "settings": settings,
    "metrics": metrics,
    "negotiation-states": partial(states, negotiation.TABLE, negotiation.TERMINAL),
    "transfer-states": partial(states, transfer.TABLE, transfer.TERMINAL),
    "commands": command_pages,
    "routes": routes,
    "events": event_names,
    "plug-ins": plug_ins,
    "ports": ports,
    "refusals": refusals,
    "rooms": rooms,
    "how-tos": how_tos,
}
PAGES: Final = pages()


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"docs/{name}\n")


if __name__ == "__main__":
    main()
