"""TLS for listeners, with certificates that may change under a running node.

Certificates live weeks (ACME) while a node lives months. Nothing polls: each handshake compares the files' stamps with
those last loaded (two stat calls, a few microseconds) and loads a new pair once it is complete. A pair that does not
fit together (a renewal caught halfway) leaves the old one in place. SIGHUP may call `Reloader.check` as well.
"""

import ssl
from pathlib import Path

import structlog

from connector.protocol.errors import LocalError

_log = structlog.get_logger(__name__)


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Build a listener's context: TLS 1.2 or later, HTTP/1.1.

    cert: PEM chain, leaf first; key: its PEM private key, without password. Raises LocalError if they cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise LocalError(f"cannot use certificate {cert} with key {key}: both must be PEM and belong together") from exc
    return context


class Reloader:
    """A pair of certificate files; `context` serves whatever they hold at the time of each handshake."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._files = (cert, key)
        self._seen = self._stamps()
        self._current = server_context(cert, key)
        self.context = server_context(cert, key)
        self.context.sni_callback = self._choose

    def check(self) -> None:
        """Load the files again if they changed since the last look; keep the old pair if the new one is unusable."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self._current = server_context(*self._files)
        except LocalError as exc:
            _log.warning("certificate not reloaded", reason=exc.reason)
        else:
            _log.info("certificate reloaded", file=str(self._files[0]))

    def _choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext) -> None:
        """Called by OpenSSL in every handshake, with or without a server name in it."""
        self.check()
        handshake.context = self._current

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Tell the files' identities: replaced (inode), rewritten (time, size), or missing (None)."""
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _no_password() -> str:
    """Stand in for OpenSSL's prompt on the terminal, which would stop the whole process."""
    raise ValueError("the key needs a password")
