# ruff: noqa: INP001 - a script, no package
"""Writes the pages of the documentation that follow from the code: settings, metrics and state machines.

Run `make docs` after changing either; a test fails when a page is not what this writes.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from connector import config
from connector.metrics.table import TABLE
from connector.protocol import negotiation, transfer

DOCS: Final = Path(__file__).resolve().parent
_WRITTEN: Final = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->\n\n"


def settings_page() -> str:
    """The reference of a node's settings."""
    lines = [
        "# Settings of a node",
        "",
        "`connector serve --config node.toml` reads one TOML file. A setting `section.name` stands there as `name`",
        "under `[section]`; the environment variable `CONNECTOR_SECTION_NAME` wins over it. Secrets are given by",
        "reference: `env:NAME` or `file:PATH`. A key that is not in this table is refused.",
        "",
        "| Setting | Default | What it does |",
        "|---|---|---|",
    ]
    lines += [f"| `{key}` | {_code(default)} | {text} |" for key, default, text in config.table()]
    return _WRITTEN + "\n".join(lines) + "\n"


def _code(default: str) -> str:
    return default if default in ("", "required") else f"`{default}`"


def metrics_page() -> str:
    """The reference of a node's metrics."""
    lines = [
        "# Metrics of a node",
        "",
        "`GET /metrics` on the management listener gives them to Prometheus, without a key; the listener is on",
        "loopback by default, and where it is not, keep the path from strangers. A scrape runs no SQL. Labels have",
        "few values, whatever strangers send: routes are templates, operands those that the engine knows.",
        "",
        "Rules for alerts are in [alerts.yaml](../alerts.yaml), a dashboard for Grafana in",
        "[dashboard.json](../dashboard.json). Each step of an exchange is a log line as well; its `trace` is the",
        "same on both sides and in the `traceparent` of every message to the counterparty, so one id finds an exchange",
        "in the logs of two nodes.",
        "",
        "| Metric | Kind | Labels | What it tells |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{m.name}` | {m.kind} | {', '.join(f'`{name}`' for name in m.labels)} | {m.help} |" for m in TABLE]
    return _WRITTEN + "\n".join(lines) + "\n"


def machines_page() -> str:
    """The two state machines, drawn from the tables that the code runs on."""
    return _WRITTEN + "\n".join(
        [
            "# State machines",
            "",
            "An arrow is a message of the Dataspace Protocol 2025-1, with its sender: C consumer, P provider. What",
            "has no arrow in a state is refused with 400 and changes nothing. A transition takes effect when the",
            "message is answered.",
            "",
            "## Contract negotiation",
            "",
            _diagram(negotiation.TABLE, negotiation.TERMINAL),
            "",
            "## Transfer process",
            "",
            _diagram(transfer.TABLE, transfer.TERMINAL),
            "",
        ]
    )


def _diagram(table: Mapping[tuple[Any, Any, Any], Any], terminal: frozenset[Any]) -> str:
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, event, sender), after in table.items():
        arrows.setdefault((before or "[*]", after), []).append(f"{event} {sender[0]}")
    lines = [f"    {before} --> {after}: {', '.join(sorted(names))}" for (before, after), names in arrows.items()]
    lines += [f"    {state} --> [*]" for state in sorted(terminal)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


PAGES: Final = {
    "reference/config.md": settings_page,
    "reference/metrics.md": metrics_page,
    "state-machines.md": machines_page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"docs/{name}\n")


if __name__ == "__main__":
    main()
