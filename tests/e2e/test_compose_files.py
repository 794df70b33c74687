"""The composition, its node files and the image fit together and fit both generations of docker compose."""

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from connector import config
from connector.sandbox.participants import read_participants

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
NODES = sorted(set(COMPOSE["services"]) - {"demo"})
NOT_IN_VERSION_1 = {"name", "include", "configs", "develop", "pull_policy", "start_interval"}


def environment(service: str) -> dict[str, str]:
    """What the container sees, with every `${NAME:-default}` at its default."""
    given: dict[str, str] = COMPOSE["services"][service]["environment"]
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in given.items()}


def settings(service: str) -> config.Config:
    return config.parse(
        tomllib.loads((ROOT / "docker" / "node.toml").read_text(encoding="utf-8")), environment(service)
    )


def members(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for inner in value.values() for name in members(inner)}
    return {name for inner in value for name in members(inner)} if isinstance(value, list) else set()


def test_nothing_is_used_that_the_first_docker_compose_does_not_know() -> None:
    assert members(COMPOSE) & NOT_IN_VERSION_1 == set()


def test_the_image_is_built_without_what_only_buildkit_has() -> None:
    assert not re.search(r"RUN\s+--mount|^# syntax=|<<EOF", DOCKERFILE, re.MULTILINE)


def test_the_image_runs_as_nobody_special_and_gets_its_signals() -> None:
    assert re.search(r"^USER (?!0$|root$)\S+$", DOCKERFILE, re.MULTILINE)
    assert 'ENTRYPOINT ["connector"]' in DOCKERFILE  # a shell in between would keep SIGTERM for itself
    assert "\nHEALTHCHECK " in DOCKERFILE


@pytest.mark.parametrize("service", NODES)
def test_a_node_is_reached_under_its_service_name_and_keeps_its_state_in_a_volume(service: str) -> None:
    node = settings(service)
    assert node.url == f"http://{service}:{node.port}"
    assert unquote(node.did) == f"did:web:{service}:{node.port}"
    assert f"{service}:{node.data}" in COMPOSE["services"][service]["volumes"]
    assert service in COMPOSE["volumes"]
    assert node.directory[node.bpn] == node.did


@pytest.mark.parametrize("service", NODES)
def test_no_port_of_a_development_node_is_published(service: str) -> None:
    assert settings(service).development
    assert "ports" not in COMPOSE["services"][service]


def test_the_demo_client_knows_every_node_as_it_is_configured() -> None:
    known = read_participants(ROOT / "docker" / "nodes.toml", environment("demo"))
    assert sorted(known) == NODES
    for name, participant in known.items():
        node = settings(name)
        assert (participant.did, participant.bpn) == (node.did, node.bpn)
        assert participant.dsp == f"{node.dsp_root}/2025-1"
        assert participant.management == f"http://{name}:{node.management_port}{node.management_path}"
        assert participant.api_key == node.management_key


def test_the_demo_waits_until_every_node_is_healthy() -> None:
    waits = COMPOSE["services"]["demo"]["depends_on"]
    assert waits == {name: {"condition": "service_healthy"} for name in NODES}


def test_the_health_check_asks_where_the_nodes_answer() -> None:
    node = settings(NODES[0])
    assert f"http://127.0.0.1:{node.management_port}{node.management_path}/check/readiness" in DOCKERFILE
