"""The certificate that partners see at an address, and for each way in which it can be no good, how to mend that.

A handshake as a partner makes it: with the system's authorities and those of `public.trust`, for the host name of
`public.url`. What OpenSSL finds first is what is told, as partners' connectors stop there as well.
"""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from connector.onboarding.findings import Ill

HANDSHAKE_S: Final = 5.0
RENEW: Final = "renew it; the node takes up new files without a restart"
_NAME_IT: Final = "have it issued for {host}, which is the host of public.url; other names may stand beside it"
_TRUSTED: Final = (
    "take one from an authority that partners trust, and put all intermediates behind it into public.certificate; an"
    " authority of your own is named in public.trust, of this node and of every partner"
)
_FAULTS: Final[Mapping[int, str]] = {  # codes of OpenSSL, X509_V_ERR_*, for which Python has no names
    9: "it begins later: set this machine's clock by NTP, or take one that has begun",
    10: RENEW,
    62: _NAME_IT,
    64: _NAME_IT,
}
_SERVE_IT: Final = (
    "something else answers there: set public.certificate and public.certificate_key, or let the reverse proxy speak"
    " TLS at this port"
)
_REACH_IT: Final = "check the name in the DNS, the firewall and the reverse proxy, and that the node runs"


async def certificate_end(host: str, port: int, trust: Path | None, *, handshake_s: float = HANDSHAKE_S) -> float:
    """When the certificate at an address ends, in s since the epoch. Raise Ill if there is none that we trust.

    trust: a PEM file with authorities beside the system's. handshake_s: how long it may take.
    """
    context = ssl.create_default_context()
    if trust is not None:
        context.load_verify_locations(trust)
    at = f"{host}:{port}"
    try:
        async with asyncio.timeout(handshake_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        mend = _FAULTS.get(error.verify_code, _TRUSTED).format(host=host)
        raise Ill(f"the certificate at {at} is not good for partners: {error.verify_message}", mend) from error
    except ssl.SSLError as error:
        raise Ill(f"what answers at {at} speaks no TLS that we know: {error.reason or error}", _SERVE_IT) from error
    except TimeoutError as error:
        raise Ill(f"no TLS handshake with {at} within {handshake_s:g} s", _REACH_IT) from error
    except OSError as error:
        raise Ill(f"{at} cannot be reached: {str(error) or type(error).__name__}", _REACH_IT) from error
    certificate: dict[str, str] = writer.get_extra_info("peercert")
    writer.close()
    return datetime.strptime(certificate["notAfter"], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp()
