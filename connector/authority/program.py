"""An authority, running: its settings made into listeners, register and sender."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from connector import observability
from connector.authority.dcp import Counter, dcp_routes, render
from connector.authority.delivery import Sender
from connector.authority.discovery import discovery_routes
from connector.authority.issuing import DAY_MS, Chance, Office
from connector.authority.keys import Keys, open_keys, rotate
from connector.authority.kinds import supported
from connector.authority.operating import management_app
from connector.authority.published import Published
from connector.authority.register import Register
from connector.authority.settings import MANAGEMENT_PATH, Settings
from connector.clock import FreshIds, SystemClock
from connector.http.client import Outbound
from connector.http.did import document_response
from connector.http.door import Door, Refusals
from connector.http.guard import AddressPolicy
from connector.http.limits import Allowed
from connector.http.middleware import application
from connector.http.server import Listener, serve, stop_signal
from connector.http.tls import Reloader
from connector.identity.dcp_messages import ISSUER_SERVICE
from connector.identity.did import did_document_path, did_web_url
from connector.identity.proofs import Proofs
from connector.identity.replay import ReplayGuard
from connector.identity.resolver import DidResolver
from connector.identity.tokens import TokenVerifier
from connector.protocol.did_services import find_dsp_endpoints
from connector.protocol.errors import Invalid

DATABASE: Final = "authority.sqlite"
KEY_FILE: Final = "signing-key.pem"
ALLOWED: Final = Allowed(requests_per_second=10, burst=100, requests_at_once=16, failures_per_minute=300)
KEYS: Final = Allowed(failures_per_minute=30)
"""Wrong API keys of one address."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunningAuthority:
    """An authority that is up. `public` and `management` are its listeners' real addresses."""

    settings: Settings
    register: Register
    public: Listener
    management: Listener

    @property
    def management_url(self) -> str:
        """The root of the operator's API."""
        return self.management.url + MANAGEMENT_PATH


async def run(settings: Settings, announce: Callable[[RunningAuthority], Awaitable[None]] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once everything listens."""
    observability.configure(settings.log_level, settings.log_format)
    stopping = asyncio.create_task(stop_signal())
    try:
        async with start(settings) as running:
            log.info("ready", did=settings.did, issuer=settings.issuer_url, management=running.management_url)
            if announce is not None:
                await announce(running)
            log.info("stopping", signal=(await stopping).name)
    finally:
        stopping.cancel()


@asynccontextmanager
async def start(settings: Settings) -> AsyncIterator[RunningAuthority]:
    """A running authority. Raise LocalError if a setting, a file, a port or the database does not allow it."""
    async with AsyncExitStack() as stack:
        try:
            settings.data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fault = f"the folder {settings.data} cannot be made: {error.strerror}"
            raise Invalid(fault, "/authority/data") from error
        register = await Register.open(settings.data / DATABASE)
        stack.push_async_callback(register.close)
        keys = await open_keys(settings.data / KEY_FILE, settings.did, register, SystemClock().now())
        everywhere = settings.development
        policy = AddressPolicy(allow_loopback=everywhere, allow_private=everywhere, allow_http=everywhere)
        wire = await stack.enter_async_context(Outbound(policy, trust=settings.trust))
        resolver = _resolver(settings, keys, wire)
        counter, sender = _counter(settings, register, keys, wire, resolver)
        public = await serve(_public(settings, counter, resolver), settings.host, settings.port, tls=_tls(settings))
        stack.push_async_callback(public.close)
        private = management_app(
            counter,
            api_key=settings.management_key,
            base_path=MANAGEMENT_PATH,
            invitation_days=settings.invitation_days,
            door=Door(KEYS, Refusals()),
        )
        management = await serve(private, settings.management_host, settings.management_port)
        stack.push_async_callback(management.close)
        sender.start()
        stack.push_async_callback(sender.stop)
        yield RunningAuthority(settings, register, public, management)


def _tls(settings: Settings) -> Any:  # noqa: ANN401 - the standard library's context, or None
    if settings.certificate and settings.certificate_key:
        return Reloader(settings.certificate, settings.certificate_key).context
    return None


def _resolver(settings: Settings, keys: Keys, wire: Outbound) -> DidResolver:
    fetch = partial(_fetch, wire, settings, keys)
    return DidResolver(fetch, SystemClock(), allow_http=settings.url.startswith("http:"))


def _counter(
    settings: Settings, register: Register, keys: Keys, wire: Outbound, resolver: DidResolver
) -> tuple[Counter, Sender]:
    clock, ids = SystemClock(), FreshIds()
    office = Office(
        keys=keys,
        supported=supported(settings.credentials, settings.profiles),
        terms=settings,
        validity=settings.validity_days * DAY_MS,
        issuer_url=settings.issuer_url,
        status_url=settings.status_url,
    )
    published = Published(register, office, clock, ttl=settings.status_ttl * 1000)
    sender = Sender(register, keys, resolver, wire, clock, ids)

    def changed() -> None:
        published.changed()
        sender.wake()

    async def new_key() -> None:
        await rotate(keys, settings.data / KEY_FILE, register, validity=office.validity, now=clock.now())

    counter = Counter(
        office=office,
        register=register,
        published=published,
        verifier=TokenVerifier(settings.did, resolver, ReplayGuard(clock), clock),
        proofs=Proofs(resolver, clock),
        clock=clock,
        rotate=new_key,
        chance=lambda: Chance(now=clock.now(), ids=ids, below=secrets.randbelow),
        changed=changed,
        door=Door(ALLOWED, Refusals()),
    )
    return counter, sender


async def _fetch(wire: Outbound, settings: Settings, keys: Keys, url: str) -> bytes:
    """A DID document; the authority's own needs no network."""
    if url == did_web_url(settings.did, allow_http=settings.url.startswith("http:")):
        return _document(settings, keys)
    return await wire.get(url)


def _document(settings: Settings, keys: Keys) -> bytes:
    service = {"id": f"{settings.did}#issuer", "type": ISSUER_SERVICE, "serviceEndpoint": settings.issuer_url}
    return orjson.dumps(keys.document([service]), option=orjson.OPT_INDENT_2)


def _public(settings: Settings, counter: Counter, resolver: DidResolver) -> web.Application:
    async def show(_: web.Request) -> web.Response:
        return document_response(_document(settings, counter.office.keys))

    async def connectors_of(did: str) -> tuple[str, ...]:
        return find_dsp_endpoints((await resolver.resolve(did)).json)

    app = application(render)
    services = discovery_routes(counter, settings.url, connectors_of)
    app.add_routes([web.get(did_document_path(settings.did), show), *dcp_routes(counter), *services])
    return app
