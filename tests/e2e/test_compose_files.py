"""The composition, its node files and the image fit together and fit both generations of docker compose."""

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import yaml

from connector import config
from connector.sandbox.authority import CERTIFICATE, KEY, TRUST
from connector.sandbox.participants import read_participants

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = COMPOSE["services"]
CERTIFICATES = sorted(name for name in SERVICES if name.endswith("-certificate"))
NODES = sorted(set(SERVICES) - {"demo", "database", *CERTIFICATES})
ON_POSTGRES = "cell-maker"
DATABASE = (ROOT / "docker" / "postgres" / "Dockerfile").read_text(encoding="utf-8")
START = (ROOT / "docker" / "postgres" / "start.sh").read_text(encoding="utf-8")
NOT_IN_VERSION_1 = {"name", "include", "configs", "develop", "pull_policy", "start_interval"}


def environment(service: str) -> dict[str, str]:
    """What the container sees, with every `${NAME:-default}` at its default."""
    given: dict[str, str] = SERVICES[service]["environment"]
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


@pytest.mark.parametrize("file", [DOCKERFILE, DATABASE])
def test_the_image_is_built_without_what_only_buildkit_has(file: str) -> None:
    assert not re.search(r"RUN\s+--mount|^# syntax=|<<EOF", file, re.MULTILINE)


@pytest.mark.parametrize("file", [DOCKERFILE, DATABASE])
def test_the_image_runs_as_nobody_special_and_tells_its_health(file: str) -> None:
    assert re.search(r"^USER (?!0$|root$)\S+$", file, re.MULTILINE)
    assert "\nHEALTHCHECK " in file


def test_the_programs_get_their_signals() -> None:
    assert 'ENTRYPOINT ["connector"]' in DOCKERFILE  # a shell in between would keep SIGTERM for itself
    assert "\nexec postgres " in START  # it has become the server
    assert "\nSTOPSIGNAL SIGINT\n" in DATABASE  # SIGTERM would wait for the sessions of the nodes


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_container_can_do_and_take_no_more_than_it_needs(service: str) -> None:
    container = SERVICES[service]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert "size=" in container["tmpfs"][0]
    assert container["mem_limit"]
    assert container["pids_limit"]
    assert not {"privileged", "cap_add", "user", "pid", "ports"} & set(container)


@pytest.mark.parametrize("service", NODES)
def test_a_node_is_reached_under_its_service_name_and_keeps_its_state_in_a_volume(service: str) -> None:
    node = settings(service)
    assert node.url == f"https://{service}:{node.port}"
    assert unquote(node.did) == f"did:web:{service}:{node.port}"
    assert f"{service}:{node.data}" in SERVICES[service]["volumes"]
    assert service in COMPOSE["volumes"]
    assert node.directory[node.bpn] == node.did


@pytest.mark.parametrize("service", NODES)
def test_a_node_speaks_tls_with_its_own_certificate(service: str) -> None:
    node, folder = settings(service), Path("/etc/connector/tls")
    assert node.certificate == folder / CERTIFICATE
    assert node.certificate_key == folder / KEY
    assert node.trust == folder / TRUST
    assert f"{service}-tls:{folder}:ro" in SERVICES[service]["volumes"]


@pytest.mark.parametrize("service", CERTIFICATES)
def test_only_who_makes_certificates_sees_the_authority_and_has_no_network(service: str) -> None:
    host, maker = service.removesuffix("-certificate"), SERVICES[service]
    assert maker["command"] == [host, "--dir=/etc/connector/tls"]
    assert maker["volumes"] == ["authority:/var/lib/connector", f"{host}-tls:/etc/connector/tls"]
    assert maker["network_mode"] == "none"
    assert SERVICES[host]["depends_on"][service] == {"condition": "service_completed_successfully"}
    others = set(SERVICES) - set(CERTIFICATES)
    assert not any("authority:" in volume for name in others for volume in SERVICES[name]["volumes"])


def test_one_node_keeps_its_state_in_postgresql_and_reaches_it_by_tls() -> None:
    url = urlsplit(settings(ON_POSTGRES).database)
    server = environment("database")
    assert [settings(name).database for name in NODES if name != ON_POSTGRES] == ["sqlite", "sqlite"]
    assert (url.hostname, url.username, url.path) == ("database", server["POSTGRES_USER"], "/connector")
    assert url.password == server["POSTGRES_PASSWORD"]
    assert dict(parse_qsl(url.query)) == {"sslmode": "verify-full", "sslrootcert": f"/etc/connector/tls/{TRUST}"}
    assert SERVICES[ON_POSTGRES]["depends_on"]["database"] == {"condition": "service_healthy"}
    assert "hostssl all" in START
    assert not re.search(r"\bhost all|\btrust\b", START)


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
    waits = SERVICES["demo"]["depends_on"]
    assert waits == {name: {"condition": "service_healthy"} for name in NODES}


def test_the_health_check_asks_where_the_nodes_answer() -> None:
    node = settings(NODES[0])
    assert f"http://127.0.0.1:{node.management_port}{node.management_path}/check/readiness" in DOCKERFILE
