"""The sandbox as people use it: real processes, real databases, and every command against them."""

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.demo_data import PASSPORT_SEMANTIC_ID, passports, tampered
from tests.e2e.processes import LIMIT_S, Box, connector, sandbox, serve

SEMANTIC = ["--semantic-id", PASSPORT_SEMANTIC_ID]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("sandbox")
    with sandbox(folder, "--nodes", "2", "--pair-file", str(folder / "pair.json")) as running:
        yield running


@pytest.fixture(scope="module")
def provider(box: Box) -> list[str]:
    """How the OEM names the cell maker: only its root address and its BPN."""
    maker = box.nodes["cell-maker"]
    return [maker["dsp"].removesuffix("/2025-1"), "--provider", maker["bpn"]]


@pytest.fixture(scope="module")
def published(box: Box, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A passport that the cell maker offers to the OEM only."""
    file = tmp_path_factory.mktemp("payload") / "passport.json"
    file.write_text(json.dumps(passports()[0]))
    partner = ["--policy", "by-bpn", "--bpn", box.nodes["oem"]["bpn"]]
    about = ["--asset-id", "urn:passport:1", "--name", "Helvion E78"]
    done = box.json("cell-maker", "publish", str(file), *about, *SEMANTIC, *partner)
    assert done["semanticId"] == PASSPORT_SEMANTIC_ID
    return "urn:passport:1"


def test_the_pair_file_is_what_measuring_tools_read(box: Box) -> None:
    file = Path(box.nodes["oem"]["folder"]).parent / "pair.json"
    pair = json.loads(file.read_text())
    assert pair["protocol"] == "dataspace-protocol-http:2025-1"
    assert (pair["provider"]["bpn"], pair["consumer"]["bpn"]) == ("BPNL000HELVION01", "BPNL000AURELIS01")
    for side, name in (("provider", "cell-maker"), ("consumer", "oem")):
        node = box.nodes[name]
        assert pair[side]["participant_id"] == node["did"]
        assert {key: pair[side][key] for key in ("management", "api_key", "dsp", "pid", "public")} == {
            key: node[key] for key in ("management", "api_key", "dsp", "pid", "public")
        }
        assert 0 < pair[side]["ready_s"] < LIMIT_S


def test_nodes_have_distinct_identities_keys_and_folders(box: Box) -> None:
    for member in ("did", "bpn", "dsp", "management", "api_key", "pid", "folder"):
        assert len({node[member] for node in box.nodes.values()}) == 2, member
    assert all(os.getpgid(node["pid"]) != os.getpgid(box.process.pid) for node in box.nodes.values())


def test_the_wrong_key_opens_nothing(box: Box) -> None:
    other = {"CONNECTOR_URL": box.nodes["oem"]["management"], "CONNECTOR_API_KEY": box.nodes["cell-maker"]["api_key"]}
    done = connector("asset", "list", env=other)
    assert done.returncode == 1
    assert "API key" in done.stderr


def test_a_mistake_is_refused_with_its_place(box: Box, tmp_path: Path) -> None:
    payload, pointer = tampered()
    (tmp_path / "wrong.json").write_text(json.dumps(payload))
    done = box.run("cell-maker", "publish", str(tmp_path / "wrong.json"), "--asset-id", "wrong", *SEMANTIC)
    assert done.returncode == 1
    assert f"/payload{pointer}" in done.stderr
    assert box.run("cell-maker", "asset", "show", "wrong").returncode == 1


def test_an_asset_is_listed_shown_and_removed(box: Box, tmp_path: Path) -> None:
    (tmp_path / "passport.json").write_text(json.dumps(passports()[1]))
    box.json(
        "cell-maker", "publish", str(tmp_path / "passport.json"), "--asset-id", "short-lived", "--no-offer", *SEMANTIC
    )
    listed = box.json("cell-maker", "asset", "list")
    assert "short-lived" in {asset["@id"] for asset in listed["items"]}
    assert listed["total"] == len(listed["items"])
    assert box.json("cell-maker", "asset", "show", "short-lived")["@id"] == "short-lived"
    box.json("cell-maker", "asset", "remove", "short-lived")
    assert box.run("cell-maker", "asset", "remove", "short-lived").returncode == 1


def test_a_catalog_shows_what_is_offered_and_only_to_whom(box: Box, provider: list[str], published: str) -> None:
    shown = box.json("oem", "catalog", *provider)
    assert published in {dataset["@id"] for dataset in shown["dataset"]}
    people = box.run("oem", "catalog", *provider)
    assert "Helvion E78 (BatteryPass)" in people.stdout


def test_obtain_is_the_whole_exchange(box: Box, provider: list[str], published: str, tmp_path: Path) -> None:
    file = tmp_path / "got.json"
    done = box.run("oem", "obtain", *provider, published, *SEMANTIC, "--output", str(file))
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[:4]] == [
        ["ok", f"{check}:"] for check in ("digest", "signature", "signer", "schema")
    ]
    assert json.loads(file.read_text()) == passports()[0]


def test_data_that_is_not_what_was_asked_for_is_not_written(
    box: Box, provider: list[str], published: str, tmp_path: Path
) -> None:
    file = tmp_path / "got.json"
    other = ["--semantic-id", "urn:samm:io.catenax.pcf:7.0.0#Pcf"]
    done = box.run("oem", "obtain", *provider, published, *other, "--output", str(file))
    assert done.returncode == 1
    assert "FAILED schema" in done.stdout
    assert not file.exists()


def test_what_is_not_offered_cannot_be_had(box: Box, provider: list[str]) -> None:
    done = box.run("oem", "obtain", *provider, "nonesuch")
    assert done.returncode == 1
    assert "does not offer nonesuch" in done.stderr


def test_step_by_step_from_contract_to_completion(box: Box, provider: list[str], published: str) -> None:
    negotiation = box.json("oem", "negotiate", *provider, published)
    assert negotiation["state"] == "FINALIZED"
    transfer = box.json("oem", "transfer", "start", negotiation["contractAgreementId"])
    assert transfer["state"] == "STARTED"
    ident = transfer["@id"]
    assert box.json("oem", "fetch", ident, *SEMANTIC)["payload"] == passports()[0]
    box.json("oem", "transfer", "suspend", ident, "--reason", "lunch")
    assert box.run("oem", "fetch", ident).returncode == 1
    timeline = box.json("oem", "transfer", "timeline", ident)
    assert [entry["what"] for entry in timeline["history"]][:3] == ["initiated", "we:REQUEST", "peer:START"]
    assert listed(box, "transfer")[0]["@id"] == ident  # the latest first
    assert box.json("oem", "transfer", "show", ident)["contractId"] == negotiation["contractAgreementId"]
    box.json("oem", "transfer", "terminate", ident, "--reason", "done")
    assert box.json("oem", "negotiation", "show", negotiation["@id"])["assetId"] == published
    assert "peer:FINALIZE" in box.run("oem", "negotiation", "timeline", negotiation["@id"]).stdout
    assert negotiation["@id"] in {n["@id"] for n in listed(box, "negotiation", "--state", "finalized")}
    refused = box.run("oem", "negotiation", "approve", negotiation["@id"])
    assert (refused.returncode, "nothing is to be approved" in refused.stderr) == (1, True)


def listed(box: Box, kind: str, *options: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = box.json("oem", kind, "list", *options)["items"]
    return rows


def test_there_are_no_dead_letters_and_none_can_be_retried(box: Box) -> None:
    assert box.json("oem", "deadletter", "list") == {"total": 0, "items": []}
    assert box.run("oem", "deadletter", "retry", "nonesuch").returncode == 1


def test_an_asset_under_an_agreement_stays(box: Box, provider: list[str], published: str) -> None:
    assert box.json("oem", "negotiate", *provider, published)["state"] == "FINALIZED"
    done = box.run("cell-maker", "asset", "remove", published)
    assert done.returncode == 1
    assert "agreement" in done.stderr


def test_a_signal_ends_all_and_a_second_start_is_the_same_data_space(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--nodes", "1") as first:
        before = first.nodes["oem"]
        first.json("oem", "offer", "some-asset", "--offer-id", "kept")
        first.process.send_signal(signal.SIGINT)
        assert first.end() == (0, "")
        gone(before["pid"])
    with serve(tmp_path / "oem" / "node.toml") as (node, ready):
        assert ready["management"] == before["management"]
        node.terminate()
        assert node.wait(LIMIT_S) == 0
    with sandbox(tmp_path, "--nodes", "2") as second:
        after = second.nodes["oem"]
        assert {k: after[k] for k in ("did", "dsp", "management", "api_key")} == {
            k: before[k] for k in ("did", "dsp", "management", "api_key")
        }
        assert second.json("oem", "offer", "some-asset", "--offer-id", "kept")["@id"] == "kept"


def test_a_node_that_cannot_start_is_told_with_its_log(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (tmp_path / "ports.json").write_text(json.dumps({"oem": [port, port]}))
        done = connector("sandbox", "up", "--nodes", "1", "--dir", str(tmp_path))
    assert done.returncode == 1
    assert "oem did not start: it ended before it was ready" in done.stderr
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_a_node_that_dies_ends_the_sandbox_with_its_name(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--nodes", "2") as running:
        os.kill(running.nodes["oem"]["pid"], signal.SIGKILL)
        code, told = running.end()
        assert code == 1
        assert "oem has ended with code -9" in told
        gone(running.nodes["cell-maker"]["pid"])


@pytest.mark.skipif(sys.platform != "linux", reason="waits for a process that is not a child of ours")
def test_no_node_outlives_its_sandbox(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--nodes", "1") as running:
        node = os.pidfd_open(running.nodes["oem"]["pid"])
        try:
            running.process.kill()
            running.end()
            assert select.select([node], [], [], LIMIT_S)[0], "the node is still there"
        finally:
            os.close(node)


def gone(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
