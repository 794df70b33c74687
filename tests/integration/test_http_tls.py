"""TLS with a throw-away authority: trust on the client's side, renewal without restart on the server's."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connector.http.client import Outbound
from connector.http.guard import AddressPolicy
from connector.http.middleware import finish_response
from connector.http.server import Limits, Listener, serve
from connector.http.tls import Reloader, server_context
from connector.protocol.errors import LocalError, Unreachable

LOCAL = AddressPolicy(allow_loopback=True)


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def pem_key(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    form = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, form)


class Authority:
    """A certificate authority that lives as long as a test."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / "ca.pem"
        self.certificate = self._sign(name("throw-away CA"), self.key, ca=True)
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, cert: Path, key: Path, common: str, host: str = "127.0.0.1", **valid: Any) -> None:
        """Write a pair of files for an address, `common` telling one issue from the next; valid: `since`, `until`."""
        private = ec.generate_private_key(ec.SECP256R1())
        signed = self._sign(name(common), private, host=host, **valid)
        cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        key.write_bytes(pem_key(private))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        ca: bool = False,
        host: str = "127.0.0.1",
        since: timedelta = timedelta(minutes=-1),
        until: timedelta = timedelta(hours=1),
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name("throw-away CA"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since)
            .not_valid_after(now + until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([alternative(host)]), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())


async def hello(_: web.Request) -> web.StreamResponse:
    return web.Response(text="hello")


class Site:
    """A served pair of certificate files."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.authority = Authority(folder)
        self.authority.issue(self.cert, self.key, "first")
        self.reloader = Reloader(self.cert, self.key)

    async def start(self, handle: Callable[[web.Request], Awaitable[web.StreamResponse]] = hello) -> Listener:
        app = web.Application()
        app.router.add_get("/", handle)
        return await serve(app, "127.0.0.1", 0, tls=self.reloader.context)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
async def listener(site: Site) -> AsyncIterator[Listener]:
    started = await site.start()
    yield started
    await started.close()


async def served_name(listener: Listener, site: Site, *, server_name: str | None = "127.0.0.1") -> str:
    """Shake hands anew and tell which certificate came."""

    context = ssl.create_default_context(cafile=site.authority.file)
    context.check_hostname = server_name is not None
    _, writer = await asyncio.open_connection(
        listener.host, listener.port, ssl=context, server_hostname=server_name or ""
    )
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    common = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value)


async def test_client_trusts_the_given_authority(listener: Listener, site: Site) -> None:
    assert listener.url.startswith("https://127.0.0.1:")
    async with Outbound(LOCAL, trust=site.authority.file) as client:
        assert (await client.send("GET", listener.url)).body == b"hello"


async def test_client_does_not_trust_others(listener: Listener) -> None:
    async with Outbound(LOCAL) as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+: the TLS certificate is not trusted: unable to get"):
            await client.send("GET", listener.url)


async def test_certificate_must_be_for_the_host(listener: Listener, site: Site) -> None:
    site.authority.issue(site.cert, site.key, "for another", host="127.0.0.2")
    async with Outbound(LOCAL, trust=site.authority.file) as client:
        with pytest.raises(Unreachable, match="not trusted: IP address mismatch"):
            await client.send("GET", listener.url)


async def test_tls_to_a_plain_port_says_so() -> None:
    listener = await serve(web.Application(), "127.0.0.1", 0)
    try:
        async with Outbound(LOCAL) as client:
            with pytest.raises(Unreachable, match="the TLS handshake failed: WRONG_VERSION_NUMBER"):
                await client.send("GET", f"https://127.0.0.1:{listener.port}/")
    finally:
        await listener.close()


@pytest.mark.parametrize("server_name", ["127.0.0.1", None], ids=["with a name", "without a name"])
async def test_new_connection_gets_the_new_certificate(listener: Listener, site: Site, server_name: str | None) -> None:
    assert await served_name(listener, site, server_name=server_name) == "first"
    site.authority.issue(site.cert, site.key, "second")
    assert await served_name(listener, site, server_name=server_name) == "second"
    assert await served_name(listener, site, server_name=server_name) == "second"


def test_new_connection_gets_the_new_certificate_under_uvloop(site: Site) -> None:
    async def main() -> list[str]:
        listener = await site.start()
        try:
            before = await served_name(listener, site)
            site.authority.issue(site.cert, site.key, "second")
            return [before, await served_name(listener, site)]
        finally:
            await listener.close()

    assert uvloop.run(main()) == ["first", "second"]


async def test_connection_under_way_outlives_the_renewal(listener: Listener, site: Site) -> None:
    async with Outbound(LOCAL, trust=site.authority.file, connections=1) as client:
        assert (await client.send("GET", listener.url)).status == 200
        site.authority.issue(site.cert, site.key, "second")
        assert (await client.send("GET", listener.url)).status == 200


async def test_renewal_caught_halfway_keeps_the_old_pair(listener: Listener, site: Site, tmp_path: Path) -> None:
    new_cert, new_key = tmp_path / "new.pem", tmp_path / "new.key"
    site.authority.issue(new_cert, new_key, "second")
    new_cert.replace(site.cert)
    assert await served_name(listener, site) == "first"
    new_key.replace(site.key)
    assert await served_name(listener, site) == "second"


async def test_vanished_files_keep_the_old_pair(listener: Listener, site: Site) -> None:
    site.cert.unlink()
    assert await served_name(listener, site) == "first"


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_peer_has_the_whole_answer_before_the_next_line_runs_over_tls(
    site: Site, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    received = threading.Event()
    seen: list[bool] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.Response(text="answer")
        sent = await finish_response(request, response)
        seen.extend([sent, received.wait(timeout=5)])  # the loop stands still: only what has left can arrive
        return response

    def ask(port: int) -> None:
        context = ssl.create_default_context(cafile=site.authority.file)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as peer,
        ):
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            taken = b""
            while not taken.endswith(b"answer"):
                taken += peer.recv(1000)
            received.set()

    async def main() -> None:
        listener = await site.start(handle)
        try:
            await asyncio.to_thread(ask, listener.port)
        finally:
            await listener.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert seen == [True, True]


def test_old_tls_is_refused(site: Site) -> None:
    context = server_context(site.cert, site.key)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_unusable_files_are_named(site: Site, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    locked.write_bytes(pem_key(ec.generate_private_key(ec.SECP256R1()), b"secret"))
    for key in (tmp_path / "missing.key", site.cert, locked):
        with pytest.raises(LocalError, match="cannot use certificate") as fault:
            server_context(site.cert, key)
        assert str(key) in fault.value.reason


async def test_a_handshake_that_stalls_is_ended(site: Site) -> None:
    listener = await serve(web.Application(), "127.0.0.1", 0, tls=site.reloader.context, limits=Limits(handshake_s=0.1))
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    async with asyncio.timeout(3):
        assert await reader.read() == b""
    writer.close()
    await listener.close()


async def test_one_connection_too_many_is_told_so_under_tls_too(site: Site) -> None:
    listener = await serve(web.Application(), "127.0.0.1", 0, tls=site.reloader.context, limits=Limits(connections=1))
    trusting = ssl.create_default_context(cafile=site.authority.file)
    wires = [await asyncio.open_connection(listener.host, listener.port, ssl=trusting) for _ in range(2)]
    assert (await wires[1][0].readline()).startswith(b"HTTP/1.1 503")
    for _, writer in wires:
        writer.close()
    await listener.close()
