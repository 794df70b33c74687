"""The throw-away authority: its certificates are accepted by a strict client, for their own host alone."""

import socket
import ssl
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.http.tls import server_context
from connector.protocol.errors import Invalid, LocalError
from connector.sandbox.authority import CERTIFICATE, KEY, TRUST, certify

NOW = datetime.now(UTC)


def issue(root: Path, host: str = "oem", *, now: datetime = NOW) -> bool:
    return certify(host, root / host, root / "authority.pem", now=now)


def shake_hands(folder: Path, host: str) -> None:
    """A TLS handshake with the host that owns `folder`, as `host`; raise ssl.SSLError if the client refuses."""
    client = ssl.create_default_context(cafile=folder / TRUST)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    serving = server_context(folder / CERTIFICATE, folder / KEY)

    def serve() -> None:
        try:
            with serving.wrap_socket(theirs, server_side=True):
                pass
        except OSError:
            theirs.close()  # the client has gone

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=host):
            pass
    finally:
        ours.close()
        thread.join()


def test_a_strict_client_accepts_the_certificate(tmp_path: Path) -> None:
    assert issue(tmp_path)
    shake_hands(tmp_path / "oem", "oem")


def test_it_is_for_its_own_host_alone(tmp_path: Path) -> None:
    issue(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(tmp_path / "oem", "cell-maker")


def test_nodes_under_one_authority_trust_each_other_and_no_other(tmp_path: Path) -> None:
    issue(tmp_path, "oem")
    issue(tmp_path, "cell-maker")
    assert (tmp_path / "oem" / TRUST).read_bytes() == (tmp_path / "cell-maker" / TRUST).read_bytes()
    certify("oem", tmp_path / "stranger", tmp_path / "another.pem", now=NOW)
    (tmp_path / "stranger" / TRUST).write_bytes((tmp_path / "oem" / TRUST).read_bytes())
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path / "stranger", "oem")


def test_only_the_owner_may_read_keys_and_no_node_gets_the_authoritys(tmp_path: Path) -> None:
    issue(tmp_path)
    for file in (tmp_path / "oem" / KEY, tmp_path / "authority.pem"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in (tmp_path / "authority.pem").read_text()
    assert "PRIVATE KEY" not in (tmp_path / "oem" / TRUST).read_text()
    assert sorted(path.name for path in (tmp_path / "oem").iterdir()) == sorted([CERTIFICATE, KEY, TRUST])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authority.pem", "oem"]


def test_a_certificate_is_kept_until_a_month_before_its_end(tmp_path: Path) -> None:
    issue(tmp_path)
    before = (tmp_path / "oem" / CERTIFICATE).read_bytes()
    assert not issue(tmp_path, now=NOW + timedelta(days=334))
    assert (tmp_path / "oem" / CERTIFICATE).read_bytes() == before
    assert issue(tmp_path, now=NOW + timedelta(days=336))
    assert (tmp_path / "oem" / CERTIFICATE).read_bytes() != before


@pytest.mark.parametrize("name", [CERTIFICATE, KEY, TRUST])
def test_what_is_missing_or_broken_is_made_anew(tmp_path: Path, name: str) -> None:
    issue(tmp_path)
    (tmp_path / "oem" / name).write_text("no PEM")
    assert issue(tmp_path)
    (tmp_path / "oem" / name).unlink()
    assert issue(tmp_path)
    shake_hands(tmp_path / "oem", "oem")


def test_a_new_authority_means_new_certificates(tmp_path: Path) -> None:
    issue(tmp_path)
    (tmp_path / "authority.pem").unlink()
    assert issue(tmp_path)
    shake_hands(tmp_path / "oem", "oem")


def test_several_at_the_same_time_make_one_authority(tmp_path: Path) -> None:
    hosts = [f"node-{i}" for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda host: issue(tmp_path, host), hosts))
    assert len({(tmp_path / host / TRUST).read_bytes() for host in hosts}) == 1


def test_a_file_that_holds_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "authority.pem").write_text("my only copy")
    with pytest.raises(LocalError, match="holds no certificate authority"):
        issue(tmp_path)
    assert (tmp_path / "authority.pem").read_text() == "my only copy"


def test_a_host_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no host name"):
        certify("käse", tmp_path, tmp_path / "authority.pem", now=NOW)
