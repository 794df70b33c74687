"""Where this node may connect to: the guard against server-side request forgery.

Callback addresses, DID hosts, status-list and schema URLs are chosen by strangers (DSP 2025-1 `callbackAddress`, DID
`service` entries, credential `id`s). Without a guard a stranger could make the node talk to its own database port, to
the neighbours in its network or to the cloud's metadata service. Two checks, both needed:

* `AddressPolicy.check_url` refuses what can be seen in the text, before anything is stored or sent;
* `AddressPolicy.open_socket` refuses at the last moment, on the very address the socket is about to connect to. A name
  that resolves to a public address when checked and to a private one when used (DNS rebinding) gains nothing.

Redirects are never followed (client.py), as they would be a third way in.
"""

import errno
import re
import socket
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from yarl import URL

from connector.protocol.errors import PeerError

MAX_URL: Final = 2048
_TEXT: Final = re.compile(rf"[!-~]{{1,{MAX_URL}}}")
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Reach(Enum):
    """How far an address is away. SPECIAL is never connected to, whatever the policy says."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    SPECIAL = "reserved"


# Served inside otherwise allowed ranges by the large clouds: they hand out the machine's own credentials.
_METADATA: Final = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
_LOOPBACK: Final = tuple(map(ip_network, ("127.0.0.0/8", "::1/128")))
_PRIVATE: Final = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))
# IANA special-purpose registries (RFC 6890 and successors): nothing a peer could live at.
_SPECIAL: Final = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
            *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
        ),
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")


@lru_cache(maxsize=1024)
def reach(address: IPv4Address | IPv6Address) -> Reach:
    """Classify an address; an IPv4 address wrapped into IPv6 (mapped, NAT64) counts as what it wraps."""
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return Reach.SPECIAL
        if address.ipv4_mapped or address in _NAT64:
            address = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _METADATA:
        return Reach.SPECIAL
    if any(address in net for net in _LOOPBACK):
        return Reach.LOOPBACK
    if any(address in net for net in _PRIVATE):
        return Reach.PRIVATE
    if any(address in net for net in _SPECIAL) or (address.version == 6 and address not in _GLOBAL_V6):  # noqa: PLR2004 - IP version
        return Reach.SPECIAL
    return Reach.PUBLIC


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What a node may connect to besides public https hosts. Production allows none of the three."""

    allow_loopback: bool = False
    allow_private: bool = False
    allow_http: bool = False

    def check_url(self, url: str, pointer: str = "") -> URL:
        """Return the parsed URL, or raise PeerError 400 that says what is wrong with it.

        Only RFC 3986 characters, http or https, a host, and neither user nor fragment. A host that looks like a number
        must be an address in its canonical spelling: 127.1, 0x7f000001, 017700000001 are refused unread.
        pointer: place of the URL in the document it came from.
        """
        if not _TEXT.fullmatch(url):
            raise PeerError(400, f"the URL must be 1 to {MAX_URL} printable ASCII characters", pointer)
        try:
            parsed = URL(url)
            host, port = parsed.raw_host, parsed.port
        except ValueError as exc:
            raise PeerError(400, "the URL is malformed", pointer) from exc
        if parsed.scheme not in {"http", "https"}:
            raise PeerError(400, "the URL must begin with https://", pointer)
        if parsed.scheme == "http" and not self.allow_http:
            raise PeerError(400, "plain http is not accepted here: use https", pointer)
        if "#" in url or parsed.raw_user or parsed.raw_password:
            raise PeerError(400, "the URL must have neither a user nor a fragment", pointer)
        if not host or not port:
            raise PeerError(400, "the URL has no host or an impossible port", pointer)
        if fault := self._host_fault(host):
            raise PeerError(400, fault, pointer)
        return parsed

    def open_socket(self, info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        """Make the socket for one resolved address (aiohttp's `socket_factory`); OSError EACCES if it is refused.

        info: as from getaddrinfo; the caller connects to exactly info[4].
        """
        family, kind, proto, _, target = info
        if fault := self._address_fault(ip_address(target[0])):
            raise PermissionError(errno.EACCES, fault)
        return socket.socket(family, kind, proto)

    def _host_fault(self, host: str) -> str:
        """Say what speaks against a host as it stands in a URL; "" if nothing does."""
        try:
            return self._address_fault(ip_address(host))
        except ValueError:
            name = host.lower()
        labels = name.rstrip(".").split(".")
        if ":" in name or not _NAME.fullmatch(name) or len(name) > 253:  # noqa: PLR2004 - RFC 1035, 2.3.4
            return "the host is neither a name nor an address"
        if _NUMBER.fullmatch(labels[-1]):
            return "the host looks like an address but is not one in its usual spelling"
        if labels[-1] == "localhost" and not self.allow_loopback:
            return "loopback hosts are refused here"
        return ""

    def _address_fault(self, address: IPv4Address | IPv6Address) -> str:
        where = reach(address)
        open_to = {
            Reach.PUBLIC: True,
            Reach.LOOPBACK: self.allow_loopback,
            Reach.PRIVATE: self.allow_private,
            Reach.SPECIAL: False,
        }
        return "" if open_to[where] else f"{where.value} address {address} is refused here"
