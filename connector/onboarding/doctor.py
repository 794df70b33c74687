"""What an operator would look at when a node does not take part as it should: each finding says how to mend it.

The node is looked at from where it stands: its settings and files, its addresses as partners use them, its management
API. The last check negotiates with itself: that needs what a negotiation with somebody needs (DID, tokens, credentials
in both directions, callbacks) and no partner. The offer is for nobody, so the answer that has to come by callback is a
refusal, and nothing is left of it but the record of a negotiation.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from connector.client import Client, Provider, template
from connector.client.api import ApiError
from connector.client.exchanging import by_id
from connector.config import Config
from connector.http.client import Answer, Outbound
from connector.http.guard import AddressPolicy
from connector.identity.did import DidDocument, did_web_url, parse_did_document, service_endpoints
from connector.identity.former_keys import open_node_keys
from connector.identity.jws import json_object
from connector.identity.keys import SigningKey
from connector.identity.replay import LEEWAY_S
from connector.identity.scopes import read_scopes
from connector.onboarding.certificate import RENEW, certificate_end
from connector.onboarding.findings import Check, Finding, Ill, Skipped, Verdict, examine
from connector.protocol.errors import Invalid, Unreachable
from connector.protocol.versions import WELL_KNOWN
from connector.protocol.vocabulary import VERSION

SOON_DAYS: Final = 30
"""What ends within so many days is a warning."""
PROBE: Final = "connector-doctor"
"""Id of what the test negotiation is about."""
_KEY_FILE: Final = "signing-key.pem"
_DAY_S: Final = 86_400
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_OTHERS: Final = 0o077
_NEGOTIATION_S: Final = 20.0
_NOBODY: Final = "BPNL00000000NONE"
_BY_CALLBACK: Final = "terminated by the counterparty"
_DENIED: Final = "mend what is bad above; then look into the node's log for `denied`"
_BEYOND: Final = "look into the node's log; with --json this finding can be sent to who supports you"


@dataclass(frozen=True, slots=True)
class Patient:
    """The node to look at. `management`: its API's address; `now_s` gives the time in s."""

    config: Config
    management: str
    now_s: Callable[[], float] = time.time

    @classmethod
    def of(cls, config: Config, management: str | None = None) -> "Patient":
        """The node that these settings are of, on this machine unless an address is given."""
        return cls(config, management or management_of(config))


def management_of(config: Config) -> str:
    """Where a node on this machine has its management API."""
    host = "127.0.0.1" if config.management_host in ("0.0.0.0", "::") else config.management_host  # noqa: S104 - read, not bound
    return f"http://{host}:{config.management_port}{config.management_path}"


async def diagnose(patient: Patient, *, negotiate: bool = True) -> list[Finding]:
    """Look at everything, in the order in which one thing needs the other."""
    config = patient.config
    policy = AddressPolicy(allow_loopback=True, allow_private=True, allow_http=True)
    async with (
        Outbound(policy, trust=config.trust) as outside,
        Client(patient.management, config.management_key) as node,
    ):
        doctor = _Doctor(patient, outside, node)
        checks = [
            Check("signing key", doctor.key),
            Check("TLS", doctor.tls),
            Check("DID document", doctor.did),
            Check("node", doctor.readiness),
            Check("protocol address", doctor.protocol),
            Check("wallet address", doctor.wallet),
            Check("issuers", doctor.issuers),
            Check("clock", doctor.clock),
            Check("credentials", doctor.credentials),
            Check("directory", doctor.directory),
        ]
        findings = [await examine(check, _BEYOND) for check in checks]
        if negotiate:
            findings.append(await examine(Check("test negotiation", doctor.negotiation), _BEYOND))
        return findings


class _Doctor:
    def __init__(self, patient: Patient, outside: Outbound, node: Client) -> None:
        self._patient = patient
        self._config = patient.config
        self._outside = outside
        self._node = node
        self._up = False

    async def key(self) -> str:
        """The file that the node signs with."""
        file = self._config.key or self._config.data / _KEY_FILE
        if not await asyncio.to_thread(file.exists):
            raise Ill(f"there is no signing key at {file}", "start the node once: it makes its key", fatal=False)
        key = await asyncio.to_thread(_load, file, self._config.did)
        if (await asyncio.to_thread(file.stat)).st_mode & _OTHERS:
            raise Ill(f"others of this machine may read {file}", f"chmod 600 {file}")
        return f"{key.kid.partition('#')[2]}, readable by its owner only"

    async def tls(self) -> str:
        """The certificate that partners see."""
        parts = urlsplit(self._config.url)
        if parts.scheme == "http":
            raise Skipped("public.url is http, which is for development only")
        ends_s = await certificate_end(str(parts.hostname), parts.port or 443, self._config.trust)
        days = int((ends_s - self._patient.now_s()) // _DAY_S)
        if days < SOON_DAYS:
            raise Ill(f"the certificate of {parts.hostname} ends in {days} days", RENEW, fatal=days < 0)
        return f"the certificate of {parts.hostname} is trusted and good for {days} days"

    async def did(self) -> str:
        """Our DID document, fetched as partners fetch it."""
        config = self._config
        if not config.did.startswith("did:web:"):
            raise Skipped("the mock identity has no DID document")
        document = await self._document(config.did)
        file = config.key or config.data / _KEY_FILE
        if await asyncio.to_thread(file.exists):
            kid = (await asyncio.to_thread(_load, file, config.did)).kid
            if kid not in document.methods:
                raise Ill(
                    f"the DID document at {self._url(config.did)} has not this node's key {kid.partition('#')[2]}",
                    "restart the node if its key was rotated; have it serve its own document (public.url fits"
                    " node.did), or put what `connector key show` prints where the document is hosted",
                )
            former = (await asyncio.to_thread(open_node_keys, file, config.did)).former
            if absent := [key.kid.partition("#")[2] for key in former if key.kid not in document.methods]:
                raise Ill(
                    f"the DID document at {self._url(config.did)} has not the former keys {', '.join(absent)}:"
                    " what they signed fails at readers",
                    "restart the node, or put what `connector key show` prints where the document is hosted",
                )
        wanted = {"DataService": config.dsp_root + WELL_KNOWN}
        if config.identity == "dcp":
            wanted["CredentialService"] = config.dcp_url
        for kind, url in wanted.items():
            if url not in service_endpoints(document, kind):
                raise Ill(
                    f"the DID document does not name {url} as {kind}",
                    "partners that know only your DID do not find you: serve what `connector key show` prints",
                )
        return f"{self._url(config.did)} is found, and names this node's key and addresses"

    async def readiness(self) -> str:
        """The node's own word."""
        try:
            health = await self._node.check()
        except ApiError as error:
            if error.status == 0:
                raise Ill(str(error), "start the node: connector serve --config FILE; or give --url") from error
            raise Ill(f"the node is not ready: {error}", "look into its log for `a component is down`") from error
        self._up = True
        await self._node.api.post("/v3/assets/request", {"limit": 1})  # which needs the key
        return f"{self._patient.management} answers; {len(health['componentResults'])} components are up"

    async def protocol(self) -> str:
        """Where partners' messages and callbacks arrive."""
        url = self._config.dsp_root + WELL_KNOWN
        answer = await self._get(url)
        versions = [v.get("version") for v in _object(answer).get("protocolVersions", []) if isinstance(v, dict)]
        if answer.status != _OK or VERSION not in versions:
            raise Ill(
                f"{url} answered {answer.status} and names no version {VERSION}",
                "something else answers there: let the reverse proxy hand on /api/v1/dsp unchanged",
            )
        return f"{url} answers: callbacks reach this node"

    async def wallet(self) -> str:
        """Where partners ask for credentials; without a token it must refuse."""
        if self._config.identity != "dcp":
            raise Skipped(f"identity.kind is {self._config.identity}: nobody asks for credentials")
        url = f"{self._config.dcp_url}/presentations/query"
        answer = await self._get(url, method="POST")
        if answer.status != _UNAUTHORIZED:
            raise Ill(
                f"{url} answered {answer.status} to a query without a token, instead of 401",
                "something else answers there: let the reverse proxy hand on /dcp unchanged",
            )
        return f"{url} answers, and wants a token"

    async def issuers(self) -> str:
        """Those whose word we trust: their documents are needed for every credential."""
        if self._config.identity != "dcp":
            raise Skipped(f"identity.kind is {self._config.identity}: no issuer is needed")
        for issuer in self._config.trusted_issuers:
            await self._document(issuer)
        return f"the DID documents of {len(self._config.trusted_issuers)} trusted issuers are found"

    async def clock(self) -> str:
        """This machine's clock against others'. Tokens live for a minute."""
        urls = [self._url(did) for did in self._config.trusted_issuers] or [self._config.dsp_root + WELL_KNOWN]
        began = self._patient.now_s()
        answer = await self._get(urls[0])
        ended = self._patient.now_s()
        date = answer.headers.get("Date")
        if not date:
            raise Skipped(f"{urls[0]} does not tell its time")
        theirs = parsedate_to_datetime(date).timestamp()
        apart = max(theirs - ended, began - theirs - 1, 0.0)  # whole seconds, at some moment in between
        if apart > LEEWAY_S:
            raise Ill(
                f"this clock and that of {urlsplit(urls[0]).netloc} are {apart:.0f} s apart; {LEEWAY_S} s is the limit",
                "let both machines set their clocks by NTP (timedatectl set-ntp true)",
            )
        return f"at most {LEEWAY_S} s from that of {urlsplit(urls[0]).netloc}"

    async def credentials(self) -> str:
        """What our wallet has to show."""
        if self._config.identity != "dcp":
            raise Skipped(f"identity.kind is {self._config.identity}: nobody asks for credentials")
        if not self._config.built_in_wallet:
            raise Skipped("they are in the wallet of sts.url: look there")
        self._needs_node()
        held = await self._node.credentials.list(status_now=True)
        there = {name: credential for credential in held if credential.state == "ISSUED" for name in credential.types}
        wanted = [name for scope in read_scopes(self._config.scopes) if (name := scope.credential_type)]
        if absent := [name for name in wanted if name not in there]:
            revoked = sorted({name for c in held if c.state == "REVOKED" for name in c.types} & set(absent))
            mend = (
                "connector join --config FILE --authority DID --invitation file:PATH, or set wallet.issuer and restart"
            )
            if revoked:
                mend = f"{', '.join(revoked)} is revoked: ask the authority why"
            raise Ill(f"the wallet has no {', '.join(absent)}", mend)
        if refused := {error: None for name in wanted if (error := there[name].error)}:
            raise Ill("; ".join(refused), "partners refuse them for that as well: ask the authority")
        ends = [(until, name) for name in wanted if (until := there[name].valid_until) is not None]
        if not ends:
            return f"{', '.join(wanted)}; none of them ends"
        until, first = min(ends)
        days = int((until / 1000 - self._patient.now_s()) // _DAY_S)
        if days < SOON_DAYS:
            raise Ill(
                f"the {first} ends in {days} days", "set wallet.issuer: it is renewed by itself then", fatal=False
            )
        return f"{', '.join(wanted)}; the first ends in {days} days"

    async def directory(self) -> str:
        """Whether our BPN leads to our DID."""
        config = self._config
        if not config.bpn:
            raise Skipped("node.bpn is not set")
        self._needs_node()
        if config.directory.get(config.bpn, config.did) != config.did:
            raise Ill(
                f"the directory says that {config.bpn} is {config.directory[config.bpn]}",
                "correct the section [directory]",
            )
        body = {"bpnl": config.bpn, "counterPartyAddress": config.dsp_root}
        try:
            found = await self._node.api.post("/v3/connectordiscovery/dspversionparams", body)
        except ApiError as error:
            raise Ill(
                f"the node does not find itself by {config.bpn}: {error}",
                "put it into [directory], or set bdrs.url to the data space's directory and have the authority list it",
                fatal=False,
            ) from error
        named = next((value for key, value in found.items() if key.endswith("counterPartyId")), None)
        if named != config.did:
            raise Ill(f"the directory says that {config.bpn} is {named}", "have the authority correct its directory")
        return f"{config.bpn} is {config.did}"

    async def negotiation(self) -> str:
        """A negotiation with ourselves: catalog, request, and the answer that comes by callback."""
        self._needs_node()
        config, node = self._config, self._node
        provider = Provider(config.did, f"{config.dsp_root}/{VERSION}")
        try:
            await node.assets.put(PROBE, data_address={"type": "HttpData", "baseUrl": f"{config.url}/"})
            await node.offer(PROBE, [PROBE], access=template("open"), contract=template("by-bpn", [_NOBODY]))
            began = self._patient.now_s()
            dataset = (await node.catalogs.request(provider, by_id(PROBE))).dataset(PROBE)
            if dataset is None:
                raise Ill("the node does not see its own offer in its catalog", _BEYOND)
            ended = await node.negotiations.conclude(provider, dataset.offers[0], timeout_s=_NEGOTIATION_S)
            took = self._patient.now_s() - began
        except ApiError as error:
            raise Ill(f"it failed: {error}", _DENIED) from error
        finally:
            await self._clear()
        if ended.state != "TERMINATED" or not str(ended.error).startswith(_BY_CALLBACK):
            raise Ill(f"it is {ended.state}: {ended.error or 'no callback has come'}", _DENIED)
        return f"a request and its answer by callback took {took * 1000:.0f} ms"

    def _needs_node(self) -> None:
        if not self._up:
            raise Skipped("this cannot be looked at before the node runs")

    async def _clear(self) -> None:
        """Take everything away again."""
        node = self._node
        removals: list[Callable[[], Awaitable[None]]] = [
            lambda: node.definitions.remove(PROBE),
            lambda: node.policies.remove(f"{PROBE}-access"),
            lambda: node.policies.remove(f"{PROBE}-contract"),
            lambda: node.assets.remove(PROBE),
        ]
        for remove in removals:
            try:
                await remove()
            except ApiError:
                continue  # it was not made

    def _url(self, did: str) -> str:
        return did_web_url(did, allow_http=self._config.url.startswith("http:"))

    async def _document(self, did: str) -> DidDocument:
        url = self._url(did)
        answer = await self._get(url)
        if answer.status != _OK:
            raise Ill(f"{url} answered {answer.status} instead of the DID document", _UNSERVED)
        return parse_did_document(_object(answer), did)

    async def _get(self, url: str, *, method: str = "GET") -> Answer:
        try:
            return await self._outside.send(method, url, headers={"Accept": "*/*"}, timeout_s=5)
        except Unreachable as error:
            raise Ill(f"{url} cannot be reached: {error.reason}", _UNREACHED) from error


_UNREACHED: Final = "check the name in the DNS, the firewall and the reverse proxy, and that the node there runs"
_UNSERVED: Final = "the host of a did:web serves it below /.well-known/ (or the DID's path) as did.json"


def _load(file: Path, did: str) -> SigningKey:
    try:
        return SigningKey.from_pem(file.read_bytes(), did)
    except OSError as error:
        raise Ill(f"{file} cannot be read: {error.strerror}", "let the node's user own its folder") from error
    except Invalid as error:
        raise Ill(
            f"{file}: {error.reason}", "put the right key back, or remove it: the node makes a new one"
        ) from error


def _object(answer: Answer) -> Mapping[str, Any]:
    try:
        return json_object(answer.body)
    except ValueError:
        return {}


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is bad; warnings are not."""
    return all(finding.verdict is not Verdict.BAD for finding in findings)
