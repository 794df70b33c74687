"""Logs: one JSON object per line whoever logs, followed by their ids, and never a secret."""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from connector import observability
from connector.identity.keys import SigningKey
from connector.identity.tokens import issue_token
from connector.observability import hide_secrets

TOKEN = issue_token(SigningKey.generate("did:web:a.example"), audience="did:web:b.example", jti="1", now=0)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave no trace for other tests: the settings of both logging systems are the process's."""
    root, server = logging.getLogger(), logging.getLogger("aiohttp.server")
    before = root.handlers[:], root.level, server.level
    yield
    root.handlers, root.level, server.level = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def configure(level: str = "info", form: str = "json") -> None:
    """As a process of its own does it, without the handlers of the test runner."""
    logging.getLogger().handlers = []
    observability.configure(level, form)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_line_with_the_ids_of_its_exchange(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    with structlog.contextvars.bound_contextvars(correlation_id="abc"):
        structlog.get_logger().info("agreed\nand more", negotiation="n-1")
    (line,) = lines(capsys)
    assert (line["event"], line["negotiation"], line["correlation_id"]) == ("agreed\nand more", "n-1", "abc")
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_a_failure_is_one_line_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    structlog.get_logger().error("failed", exc_info=ValueError("broken"))
    (line,) = lines(capsys)
    assert "ValueError: broken" in line["exception"]


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    logging.getLogger("asyncio").error("never %s", "retrieved", exc_info=ValueError("lost"))
    logging.getLogger("asyncio").info("chatter")
    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("never retrieved", "error")
    assert "ValueError: lost" in line["exception"]


def test_a_strangers_broken_request_is_no_error_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    logging.getLogger("aiohttp.server").error("Error handling request")
    assert lines(capsys) == []


@pytest.mark.parametrize(("level", "shown"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_a_level_lets_through_what_it_names(level: str, shown: int, capsys: pytest.CaptureFixture[str]) -> None:
    configure(level)
    log = structlog.get_logger()
    log.debug("one")
    log.info("two")
    log.warning("three")
    assert len(lines(capsys)) == shown


def test_people_get_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="console")
    structlog.get_logger().info("agreed", negotiation="n-1")
    shown = capsys.readouterr().err
    assert "agreed" in shown
    assert not shown.startswith("{")


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_form_of_a_secret_is_written(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", form)
    secret = "correct horse"  # noqa: S105 - what must not be seen
    log = structlog.get_logger()
    log.info("a", authorization=secret, api_key=secret, Secret=secret, refresh_token=secret, password=secret)
    log.info("b", headers={"Authorization": secret, "Accept": "x"}, rows=[{"client_secret": secret}], pair=("x",))
    log.info("c", reason=f"refused: {TOKEN}", nested=[{"text": TOKEN[:80]}])
    log.warning("d", exc_info=ValueError(f"bad header: Bearer {TOKEN}"))
    log.warning("e %s", TOKEN)
    logging.getLogger("library").error("f %s", TOKEN)
    shown = capsys.readouterr().err
    assert secret not in shown
    assert "eyJ" not in shown
    assert TOKEN[-20:] not in shown
    assert shown.count("(hidden)") >= 12


def test_what_is_no_secret_stays() -> None:
    event: dict[str, Any] = {
        "event": "agreed on a key",
        "negotiation": "n-1",
        "count": 3,
        "none": None,
        "list": ["a", 1],
    }
    assert hide_secrets(None, "info", dict(event)) == event


def test_the_log_is_not_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    structlog.get_logger().info("agreed")
    print("result", file=sys.stdout)  # noqa: T201 - what commands do
    assert capsys.readouterr().out == "result\n"
