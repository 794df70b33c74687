"""Exposure of Versions: what we publish, and which of a peer's entries we use."""

import pytest

from connector.protocol.errors import PeerError
from connector.protocol.versions import (
    Auth,
    ProtocolVersion,
    choose_version,
    parse_versions,
    root_url,
    versions_json,
)

OURS = ProtocolVersion(
    version="2025-1",
    path="/2025-1",
    service_id="s",
    identifier_type="did:web",
    auth=Auth(protocol="DCP", version="1.0", profile=("vc20-bssl/jwt",)),
)


def entry(path: str, version: str = "2025-1", auth: Auth | None = None, binding: str = "HTTPS") -> ProtocolVersion:
    return ProtocolVersion(version=version, path=path, auth=auth, binding=binding)


def test_the_document_we_publish() -> None:
    assert versions_json([OURS]) == {
        "protocolVersions": [
            {
                "version": "2025-1",
                "path": "/2025-1",
                "binding": "HTTPS",
                "serviceId": "s",
                "identifierType": "did:web",
                "auth": {"protocol": "DCP", "version": "1.0", "profile": ["vc20-bssl/jwt"]},
            }
        ]
    }
    assert versions_json([entry("/")]) == {"protocolVersions": [{"version": "2025-1", "path": "/", "binding": "HTTPS"}]}
    assert Auth(protocol="OAuth", version="2").to_json() == {"protocol": "OAuth", "version": "2"}


def test_an_entry_that_cannot_be_read_hides_only_itself() -> None:
    good = {"version": "2025-1", "path": "/2025-1", "binding": "HTTPS", "profile": "unknown to us"}
    bad = [
        "2025-1",
        {"version": "2025-1"},
        {**good, "auth": "DCP"},
        {**good, "auth": {"protocol": "DCP"}},
        {**good, "path": 1},
    ]
    assert parse_versions({"protocolVersions": [*bad, good]}) == (entry("/2025-1"),)


@pytest.mark.parametrize(
    ("doc", "pointer"), [({}, "/protocolVersions"), ({"protocolVersions": []}, "/protocolVersions"), ([], "")]
)
def test_another_document_is_refused(doc: object, pointer: str) -> None:
    with pytest.raises(PeerError) as fault:
        parse_versions(doc)
    assert (fault.value.status, fault.value.pointer) == (400, pointer)


def test_our_first_choice_decides_not_the_peers_order() -> None:
    theirs = [entry("/", "v0.8"), entry("/2025-1")]
    assert choose_version(theirs).path == "/2025-1"
    assert choose_version(theirs, ["v0.8", "2025-1"]).path == "/"
    assert choose_version(theirs, ["2026-1", "2025-1"]).path == "/2025-1"


def test_of_several_entries_the_one_with_dcp_is_taken() -> None:
    oauth, unsaid = entry("/oauth", auth=Auth(protocol="OAuth", version="2")), entry("/unsaid")
    dcp = entry("/dcp", auth=Auth(protocol="DCP", version="1.0"))
    assert choose_version([oauth, unsaid, dcp]) is dcp
    assert choose_version([oauth, unsaid]) is unsaid
    assert choose_version([oauth]) is oauth


def test_without_a_common_version_we_stop() -> None:
    with pytest.raises(PeerError, match=r"peer speaks v0\.8, this side 2025-1"):
        choose_version([entry("/", "v0.8"), entry("/2025-1", binding="MQTT")])
    with pytest.raises(PeerError, match="nothing over HTTPS"):
        choose_version([])


@pytest.mark.parametrize(
    ("root", "path", "base"),
    [
        ("https://p/dsp", "/2025-1", "https://p/dsp/2025-1"),
        ("https://p/dsp/", "2025-1/", "https://p/dsp/2025-1"),
        ("https://p/dsp", "/", "https://p/dsp"),
    ],
)
def test_the_base_of_a_version_has_single_slashes(root: str, path: str, base: str) -> None:
    assert entry(path).base_url(root) == base


@pytest.mark.parametrize("tail", ["", "/", "/.well-known/dspace-version", "/.well-known/dspace-version/"])
def test_the_root_is_found_from_the_documents_url(tail: str) -> None:
    assert root_url(f"https://p/dsp{tail}") == "https://p/dsp"
