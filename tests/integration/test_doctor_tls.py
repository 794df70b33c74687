"""The doctor at an address with TLS: what partners would not accept is named, each with its own way to mend it."""

import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from connector.config import Config, parse
from connector.http.server import Listener, serve
from connector.onboarding.certificate import certificate_end
from connector.onboarding.doctor import Patient, diagnose, healthy
from connector.onboarding.findings import Finding, Ill, Verdict
from connector.protocol.errors import Invalid
from connector.sandbox.ports import Ports
from tests.integration.dsp_world import KEY, settings
from tests.integration.test_http_tls import Authority, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
async def listener(site: Site) -> AsyncIterator[Listener]:
    """A reverse proxy or node that serves the site's certificate."""
    started = await site.start()
    yield started
    await started.close()


def config(folder: Path, url: str, trust: Path | None) -> Config:
    sections: dict[str, Any] = {
        "node": {"did": "did:web:helvion.example", "development": False},
        "public": {"url": url} | ({"trust": str(trust)} if trust else {}),
        "management": {"port": 9},  # no node runs
        "identity": {"kind": "did"},
    }
    return parse(settings(folder, **sections) | {"directory": {}}, {"KEY": KEY})


async def look(folder: Path, url: str, trust: Path | None) -> Finding:
    """What the doctor finds about TLS at this address."""
    found = await diagnose(Patient.of(config(folder, url, trust)), negotiate=False)
    (finding,) = [each for each in found if each.check == "TLS"]
    assert healthy([finding]) is (finding.verdict is not Verdict.BAD)
    assert bool(finding.mend) is (finding.verdict is not Verdict.GOOD)
    return finding


def days(since: int, until: int) -> dict[str, Any]:
    return {"since": timedelta(days=since), "until": timedelta(days=until)}


async def test_a_good_certificate_is_good(listener: Listener, site: Site, tmp_path: Path) -> None:
    site.authority.issue(site.cert, site.key, "good", **days(-1, 91))
    finding = await look(tmp_path, listener.url, site.authority.file)
    assert finding == Finding("TLS", Verdict.GOOD, "the certificate of 127.0.0.1 is trusted and good for 90 days")


async def test_one_that_ends_soon_is_a_warning(listener: Listener, site: Site, tmp_path: Path) -> None:
    site.authority.issue(site.cert, site.key, "short", **days(-60, 8))
    finding = await look(tmp_path, listener.url, site.authority.file)
    assert (finding.verdict, finding.what) == (Verdict.WARNING, "the certificate of 127.0.0.1 ends in 7 days")
    assert finding.mend == "renew it; the node takes up new files without a restart"


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "expired": (days(-90, -1), "has expired", "renew it"),
    "not begun": (days(1, 90), "not yet valid", "clock by NTP"),
    "for another address": ({"host": "127.0.0.2"}, "IP address mismatch", "have it issued for 127.0.0.1"),
    "for another name": ({"host": "other.example"}, "IP address mismatch", "have it issued for 127.0.0.1"),
}


@pytest.mark.parametrize(("issued", "what", "mend"), BAD.values(), ids=BAD)
async def test_a_certificate_that_partners_refuse_is_bad(
    listener: Listener, site: Site, tmp_path: Path, issued: dict[str, Any], what: str, mend: str
) -> None:
    site.authority.issue(site.cert, site.key, "bad", **issued)
    finding = await look(tmp_path, listener.url, site.authority.file)
    assert finding.verdict is Verdict.BAD
    assert f"at 127.0.0.1:{listener.port} is not good for partners" in finding.what
    assert what in finding.what
    assert mend in finding.mend


async def test_a_name_that_the_certificate_does_not_have_is_told(
    listener: Listener, site: Site, tmp_path: Path
) -> None:
    site.authority.issue(site.cert, site.key, "other name", host="other.example")
    finding = await look(tmp_path, f"https://localhost:{listener.port}", site.authority.file)
    assert (finding.verdict, "Hostname mismatch" in finding.what) == (Verdict.BAD, True)
    assert "have it issued for localhost, which is the host of public.url" in finding.mend
    site.authority.issue(site.cert, site.key, "right name", host="localhost", **days(0, 90))
    assert (await look(tmp_path, f"https://localhost:{listener.port}", site.authority.file)).verdict is Verdict.GOOD


async def test_an_authority_that_nobody_knows_is_told(listener: Listener, tmp_path: Path) -> None:
    (tmp_path / "another").mkdir()
    for trust in (None, Authority(tmp_path / "another").file):
        finding = await look(tmp_path, listener.url, trust)
        assert (finding.verdict, "is not good for partners" in finding.what) == (Verdict.BAD, True)
        assert "take one from an authority that partners trust" in finding.mend
        assert "public.trust" in finding.mend


async def test_plain_http_where_https_is_due_is_told(tmp_path: Path) -> None:
    listener = await serve(web.Application(), "127.0.0.1", 0)
    finding = await look(tmp_path, f"https://127.0.0.1:{listener.port}", None)
    await listener.close()
    assert (finding.verdict, "speaks no TLS" in finding.what) == (Verdict.BAD, True)
    assert "set public.certificate and public.certificate_key" in finding.mend


def test_an_address_without_https_is_not_taken_in_production(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"public\.url must be https") as refused:
        config(tmp_path, "http://helvion.example", None)
    assert refused.value.pointer == "/public/url"


async def test_nobody_there_is_told(tmp_path: Path) -> None:
    with Ports() as ports:
        url = f"https://127.0.0.1:{ports.take()}"
        finding = await look(tmp_path, url, None)
    assert (finding.verdict, "cannot be reached" in finding.what) == (Verdict.BAD, True)
    assert "firewall" in finding.mend


async def test_somebody_who_does_not_shake_hands_is_not_waited_for() -> None:
    late = pytest.raises(Ill, match=r"no TLS handshake .* within 0\.05 s")
    with socket.create_server(("127.0.0.1", 0)) as silent, late as caught:
        await certificate_end("127.0.0.1", silent.getsockname()[1], None, handshake_s=0.05)
    assert "firewall" in caught.value.mend


async def test_a_renewed_certificate_heals_the_finding_while_the_node_runs(
    listener: Listener, site: Site, tmp_path: Path
) -> None:
    """As the finding says: new files, no restart."""
    site.authority.issue(site.cert, site.key, "old", **days(-90, -1))
    assert (await look(tmp_path, listener.url, site.authority.file)).verdict is Verdict.BAD
    with capture_logs() as logs:
        site.authority.issue(site.cert, site.key, "new", **days(-1, 91))
        assert (await look(tmp_path, listener.url, site.authority.file)).verdict is Verdict.GOOD
    assert "certificate reloaded" in [entry["event"] for entry in logs]
