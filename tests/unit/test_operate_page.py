"""docs/how-to/operate.md speaks of the components, metrics, alerts and settings that there are, and of all alerts."""

import re
from pathlib import Path

import yaml

from connector.engine.dispatcher import Dispatcher
from connector.exchange.delivery import ATTEMPTS, LONGEST_MS
from connector.http import health
from connector.metrics.table import TABLE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "operate.md").read_text(encoding="utf-8")


def test_its_components_are_those_of_readiness() -> None:
    source = Path(health.__file__).read_text(encoding="utf-8")
    there_are = set(re.findall(r'Check\("([a-z-]+)"', source))
    assert there_are == set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE))


def test_its_metrics_are_counted() -> None:
    assert set(re.findall(r"\bconnector_\w+", PAGE)) <= {metric.name for metric in TABLE}


def test_it_tells_what_each_alert_means() -> None:
    rules = yaml.safe_load((DOCS / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == set(re.findall(r"\*\*(\w+)\*\*", PAGE))


def test_its_figures_are_those_of_the_code() -> None:
    defaults = Dispatcher.__init__.__kwdefaults__ or {}
    assert f"it holds {defaults['per_host']} of {defaults['lanes']} slots" in PAGE
    assert f"{ATTEMPTS} times in all" in PAGE
    assert (LONGEST_MS, "five minutes" in PAGE) == (300_000, True)
    assert f"less than {health.LEAST_SPACE >> 20} MiB" in PAGE
    assert f"due for {health.OVERDUE_MS // 60_000} minutes" in PAGE
    assert f"within {health.PATIENCE_S:g} seconds" in PAGE


def test_its_files_are_there() -> None:
    for path in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / "how-to" / path).exists(), path
    for path in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (DOCS.parent / path).exists(), path
