"""`connector authority`: a process of its own, its commands, and its end."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connector.cli import main
from connector.identity.did import did_of_url
from connector.onboarding.folder import make_api_key, to_toml
from connector.sandbox.ports import Ports
from connector.sandbox.process import SERVE_AUTHORITY, NodeProcess

BPN, DID = "BPNL0000000HOLDR", "did:web:holder.example"


@dataclass
class Served:
    """A running authority; `call` runs a command against it."""

    url: str
    key: Path

    def call(self, *arguments: str) -> Result:
        options = ["--url", self.url, "--key", f"file:{self.key}"]
        return CliRunner().invoke(main, ["authority", *arguments, *options])

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
        result = self.call(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.output)


def settings(folder: Path, port: int) -> Path:
    make_api_key(folder / "api-key")
    url = f"http://localhost:{port}"
    sections: dict[str, dict[str, object]] = {
        "authority": {"did": did_of_url(url), "data": str(folder / "data"), "development": True},
        "public": {"url": url, "port": port},
        "management": {"port": 0, "key": f"file:{folder / 'api-key'}"},
    }
    file = folder / "authority.toml"
    file.write_text(to_toml(sections), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("authority")
    with Ports() as ports, asyncio.Runner() as runner:
        file = settings(folder, ports.take())
        process = runner.run(NodeProcess.start("authority", file, folder / "log", SERVE_AUTHORITY))
        try:
            yield Served(process.ready.management, folder / "api-key")
        finally:
            runner.run(process.stop())
    assert process.process.returncode == 0
    log = (folder / "log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert "eyJ" not in log


def test_a_company_is_invited_and_the_code_is_shown_once(authority: Served) -> None:
    result = authority.call("invite", "BPNL00000INVITED", "--name", "Invited Ltd")
    assert result.exit_code == 0
    assert len(result.output.splitlines()[1]) >= 24
    (listed,) = [m for m in authority.json("list") if m["bpn"] == "BPNL00000INVITED"]
    assert (listed["standing"], "invitation" in listed) == ("INVITED", False)


def test_a_member_is_added_gets_credentials_by_hand_and_loses_them(authority: Served) -> None:
    assert (
        authority.json("add", BPN, DID, "--activity", "vehicleDismantle", "--brand", "Aurelis")["standing"] == "MEMBER"
    )
    issued = authority.json("issue", BPN, "membership", "dismantler")
    assert [i["type"] for i in issued] == ["MembershipCredential", "DismantlerCredential"]
    assert authority.json("revoke", issued[0]["id"])["state"] == "REVOKED"
    states = {c["type"]: c["state"] for c in authority.json("list", "--credentials", "--bpn", BPN)}
    assert states == {"MembershipCredential": "REVOKED", "DismantlerCredential": "IN_FORCE"}
    assert [r["type"] for r in authority.json("revoke", "--member", BPN)] == ["DismantlerCredential"]
    assert authority.call("issue", BPN, "membership").exit_code == 1


def test_a_new_key_is_told_with_those_before_it(authority: Served) -> None:
    first, second = authority.json("rotate-key"), authority.json("rotate-key")
    assert second["formerKids"] == [first["kid"], *first["formerKids"]]
    shown = authority.call("rotate-key").output.splitlines()
    assert shown[0].startswith("it signs with did:web:")
    assert shown[1] == f"published besides  {second['kid']}"


def test_an_offer_that_cannot_arrive_is_listed(authority: Served) -> None:
    authority.json("add", "BPNL00000OFFERED", "did:web:localhost%3A9:nobody")
    assert authority.call("offer", "BPNL00000OFFERED").exit_code == 0
    assert "/offers" in authority.call("list", "--deliveries").output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["revoke"], 2),
        (["revoke", "urn:uuid:x", "--member", BPN], 2),
        (["revoke", "urn:uuid:none"], 1),
        (["invite", "BPNL1"], 1),
        (["add", BPN, "did:example:1"], 1),
        (["invite", BPN, "--brand", "Aurelis"], 2),
        (["list", "--requests"], 0),
    ],
)
def test_exit_codes(authority: Served, arguments: list[str], code: int) -> None:
    assert authority.call(*arguments).exit_code == code


def test_a_wrong_key_is_refused(authority: Served, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("wrong", encoding="utf-8")
    result = CliRunner().invoke(
        main, ["authority", "list", "--url", authority.url, "--key", f"file:{tmp_path / 'key'}"]
    )
    assert result.exit_code == 1


def test_settings_are_listed() -> None:
    result = CliRunner().invoke(main, ["authority", "settings", "--json"])
    assert "issuing.status_ttl" in [row["key"] for row in json.loads(result.output)]


def test_a_bad_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "authority.toml"
    file.write_text("[authority]\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["authority", "serve", "--config", str(file)])
    assert (result.exit_code, "authority.did is required" in result.output) == (1, True)
