"""tractusx-sdk's own connector tests (its extension `tck`): provision, discover, negotiate, transfer, fetch, clean up.

Their scripts bring test data for Catena-X's central test environment; here the nodes and policies are ours, the steps
and the verdict theirs. Without a semantic id, over which create_asset of 0.8.3 stumbles.
"""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from tempfile import TemporaryDirectory
from typing import Any, Final

from tractusx_sdk.extensions.tck.connector.models import (
    AssetConfig,
    BackendConfig,
    ConnectorConfig,
    DetailedTckConfig,
    PolicyConfig,
    SimpleTckConfig,
)
from tractusx_sdk.extensions.tck.connector.runners import run_detailed_test, run_simple_test

from tests.interop.clients.cases.tractusx_scene import CLIENT, CONTEXT, Scene
from tests.interop.clients.cases.world import Cases, Node, same

case: Final[Cases[Scene]] = Cases(CLIENT)


def _passes(here: Scene, config: Callable[..., Any], run: Callable[..., str], mode: str) -> None:
    path = f"/{here.name('tck')}"
    settings = config(
        test_name=f"{run.__name__}-{mode}",
        provider=_side(here.nodes.provider, by_number=mode == "bpnl"),
        consumer=_side(here.nodes.consumer, by_number=True),
        backend=BackendConfig(here.backend.url + path),
        access_policy=PolicyConfig(here.access(), CONTEXT),
        usage_policy=PolicyConfig(here.usage(), CONTEXT),
        asset=AssetConfig(semantic_id=None),
        sample_data={"certificate": "of a test"},
        discovery_mode=mode,
    )
    arguments, sys.argv = sys.argv, sys.argv[:1]  # the runner reads options of its own
    try:
        with TemporaryDirectory() as logs, redirect_stdout(StringIO()):
            verdict = run(settings, logs)
    finally:
        sys.argv = arguments
    same(verdict, "PASS")
    same(here.backend.methods(path), ["POST", "GET", "DELETE"])


def _side(node: Node, *, by_number: bool) -> ConnectorConfig:
    return ConnectorConfig(
        base_url=node.host,
        dma_path="/management",
        api_key=node.api_key,
        bpn=node.bpn,
        did=node.did,
        dsp_url=node.root if by_number else node.dsp,
    )


@case("its own connector test: simple, by partner number")
def _(here: Scene) -> None:
    _passes(here, SimpleTckConfig, run_simple_test, "bpnl")


@case("its own connector test: simple, by DID")
def _(here: Scene) -> None:
    _passes(here, SimpleTckConfig, run_simple_test, "did")


@case("its own connector test: detailed, by partner number")
def _(here: Scene) -> None:
    _passes(here, DetailedTckConfig, run_detailed_test, "bpnl")


@case("its own connector test: detailed, by DID")
def _(here: Scene) -> None:
    _passes(here, DetailedTckConfig, run_detailed_test, "did")
