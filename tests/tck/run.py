"""`make tck`: the official Dataspace Protocol TCK against a node that is started as any other, by its configuration.

    node under test     `connector serve --config tests/tck/node.toml`, with the script player as its strategies
    TCK_PARTICIPANT     a second node under the kit's name; the transfer cases need agreements with the kit, and these
                        two nodes make them, so that nothing is ever written into a database behind the node's back
    triggers            two URLs the kit posts to when the node is to begin; they call the node's management API
    the kit             a JVM

Exit code 0 only if all 65 cases passed. `--only 'CN:01.*'` runs the cases whose whole id matches, `-v` prints each.
"""

import argparse
import asyncio
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connector.client import ApiError, Client, Offer, Provider  # noqa: E402 - after the path is set
from connector.config import load  # noqa: E402 - after the path is set
from tests.tck import kit  # noqa: E402 - after the path is set
from tests.tck.player import CONSUMING, PROVIDING, RECEIVING, SENDING  # noqa: E402 - after the path is set

CONFIG: Final = ROOT / "tests" / "tck" / "node.toml"
COMMAND: Final = (sys.executable, "-m", "connector", "serve", "--config")
OUT: Final = ROOT / "build" / "tck"
PARTNER: Final = "TCK_PARTICIPANT"
DEFINITION: Final = "CD123"
USE: Final = {"@type": "Set", "permission": [{"action": "use"}]}
START_S: Final = 30.0
STOP_S: Final = 5.0
LIMIT_S: Final = 900.0


class HarnessError(Exception):
    """A node did not start, or did not stop."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running node: its DSP root, and a client of its management API."""

    id: str
    root: str
    client: Client

    @property
    def provider(self) -> Provider:
        """The node as others address it."""
        return Provider(self.id, f"{self.root}/2025-1")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


@asynccontextmanager
async def serve(name: str, overlay: Mapping[str, str], file: Path = CONFIG) -> AsyncIterator[Served]:
    """A node of its own process from `file`, the environment on top; ended by SIGTERM, which has to work."""
    public, management = free_ports(2)
    key = secrets.token_urlsafe(16)
    data = OUT / name
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TCK_API_KEY": key,
        "CONNECTOR_NODE_DATA": str(data),
        "CONNECTOR_PUBLIC_URL": f"http://127.0.0.1:{public}",
        "CONNECTOR_PUBLIC_PORT": str(public),
        "CONNECTOR_MANAGEMENT_PORT": str(management),
        **overlay,
    }
    config = load(file, env)
    url = f"http://127.0.0.1:{management}{config.management_path}"
    async with Client(url, key) as client, started(name, [*COMMAND, str(file)], env, client.check):
        yield Served(config.did, config.dsp_root, client)


@asynccontextmanager
async def started(
    name: str, command: Sequence[str], env: Mapping[str, str], check: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """A process that is ready when `check` raises nothing; ended by SIGTERM, which has to work."""
    with (OUT / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        await _ready(name, process, check)
        yield
    finally:
        await _stop(name, process)


async def _ready(name: str, process: asyncio.subprocess.Process, check: Callable[[], Awaitable[object]]) -> None:
    deadline = asyncio.get_running_loop().time() + START_S
    while process.returncode is None and asyncio.get_running_loop().time() < deadline:
        try:
            await check()
        except ApiError:
            await asyncio.sleep(0.05)
        else:
            return
    raise HarnessError(f"{name} did not start, see {OUT / name}.log")


async def _stop(name: str, process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError as error:
        process.kill()
        raise HarnessError(f"{name} did not stop within {STOP_S:g} s of SIGTERM") from error
    if process.returncode != 0:
        raise HarnessError(f"{name} ended with {process.returncode}, see {OUT / name}.log")


async def publish(node: Served, assets: list[str]) -> None:
    """Offer `assets` to everybody, for any use."""
    await node.client.policies.create("use", USE)
    for asset in assets:
        await node.client.assets.create(asset, data_address={"type": "HttpData", "baseUrl": "http://127.0.0.1:9/"})
    await node.client.definitions.create(DEFINITION, access_policy="use", contract_policy="use", assets=assets)


async def agreements(consumer: Served, provider: Served, assets: list[str]) -> dict[str, str]:
    """Negotiate each asset; the agreement's id for each."""
    return {asset: await consumer.client.agree(provider.provider, asset) for asset in assets}


def triggers(node: Served) -> web.Application:
    """What the kit posts to when the node is to begin as consumer."""

    def provider(doc: Mapping[str, Any]) -> Provider:
        return Provider(doc["providerId"], doc["connectorAddress"])

    async def negotiate(request: web.Request) -> web.Response:
        doc = await request.json()
        offer = Offer(doc["offerId"], doc["datasetId"], {"permission": USE["permission"]})
        return web.json_response({"id": await node.client.negotiations.start(provider(doc), offer)})

    async def transfer(request: web.Request) -> web.Response:
        doc = await request.json()  # the kit's address is not the one that the agreement was made with
        body = {"contractId": doc["agreementId"], "transferType": doc["format"], **provider(doc).to_json()}
        return web.json_response(
            await node.client.api.post("/v3/transferprocesses", {"@type": "TransferRequest", **body})
        )

    app = web.Application()
    app.add_routes([web.post("/tck/negotiations/requests", negotiate), web.post("/tck/transfers/requests", transfer)])
    return app


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """The application on a free port of loopback."""
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def case_keys() -> dict[str, str]:
    """Which dataset each case is about, under the kit's names for them (without agreements and offers)."""
    keys = {f"CAT_01_{n}_DATASETID": f"CAT01{n}" for n in ("01", "02", "03")}
    for assets, prefix, group, thing in (
        (PROVIDING, "ACN", "CN", "DATASETID"),
        (CONSUMING, "ACNC", "CN_C", "DATASETID"),
        (SENDING, "ATP", "TP", "AGREEMENTID"),
        (RECEIVING, "ATPC", "TP_C", "AGREEMENTID"),
    ):
        for asset in assets:
            number = asset.removeprefix(prefix)
            keys[f"{group}_{number[:2]}_{number[2:]}_{thing}"] = asset
    return keys


def kit_properties(node: Served, trigger_url: str, agreement_ids: Mapping[str, str]) -> dict[str, str]:
    """Everything the kit has to be told."""
    (port,) = free_ports(1)
    keys = {key: agreement_ids.get(value, value) for key, value in case_keys().items()}
    offers = {
        f"{k.removesuffix('DATASETID')}OFFERID": f"{DEFINITION}:{v}:456" for k, v in keys.items() if v in PROVIDING
    }
    formats = {f"{k.removesuffix('AGREEMENTID')}FORMAT": "HttpData-PULL" for k in keys if k.endswith("AGREEMENTID")}
    return {
        "dataspacetck.dsp.connector.agent.id": node.id,
        "dataspacetck.dsp.connector.http.url": f"{node.root}/2025-1",
        "dataspacetck.dsp.connector.http.base.url": node.root,
        "dataspacetck.dsp.connector.negotiation.initiate.url": f"{trigger_url}/tck/negotiations/requests",
        "dataspacetck.dsp.connector.transfer.initiate.url": f"{trigger_url}/tck/transfers/requests",
        "dataspacetck.host": "127.0.0.1",
        "dataspacetck.port": str(port),
        "dataspacetck.callback.address": f"http://127.0.0.1:{port}",
        "dataspacetck.dsp.default.wait": "10",  # seconds
        "dataspacetck.debug": "true",
        **keys,
        **offers,
        **formats,
    }


async def run(wanted: str, *, verbose: bool) -> kit.Result:
    """Start everything, run the kit, stop everything."""
    version, jars = kit.fetch()
    _say(f"Dataspace Protocol TCK {version}, logs in {OUT.relative_to(ROOT)}")
    automatic = {"CONNECTOR_STRATEGY_NEGOTIATION": "auto", "CONNECTOR_STRATEGY_TRANSFER": "auto"}
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(serve("node", {}))
        made: dict[str, str] = {}
        async with serve("partner", {"CONNECTOR_NODE_DID": PARTNER, **automatic}) as partner:
            await publish(node, ["CAT0101", "CAT0102", *PROVIDING, *SENDING])
            await publish(partner, list(RECEIVING))
            made |= await agreements(partner, node, list(SENDING))
            made |= await agreements(node, partner, list(RECEIVING))
        url = await stack.enter_async_context(listening(triggers(node)))
        properties = kit_properties(node, url, made)
        return await kit.run(jars, properties, wanted, OUT, LIMIT_S, _say if verbose else _failures)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _failures(line: str) -> None:
    if not line.lstrip().startswith("successful"):
        _say(line)


def main() -> int:
    """Run and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose whole id matches")
    parser.add_argument("-v", "--verbose", action="store_true", help="print each case")
    options = parser.parse_args()
    re.compile(options.only)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    try:
        result = asyncio.run(run(options.only or ".*", verbose=options.verbose))
    except (kit.KitError, HarnessError, ApiError) as error:
        _say(f"the conformance kit could not be run: {error}")
        return 2
    whole = result.passed > 0 if options.only else result.passed == kit.CASES
    if not whole:
        _say(f"{kit.CASES} cases have to pass, {result.aborted} were aborted; see {OUT.relative_to(ROOT)}/kit.log")
    _say(f"{result.passed} passed, {result.failed} failed")
    return 0 if whole and result.failed == result.aborted == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
