"""`make tck`, second half: the official DCP kit against a node that is started as any other, by its configuration.

The kit that can be had is a release candidate that contradicts DCP 1.0 in some cases. Those are named below with the
reason; they are run and reported, and no reason to fail. Nothing in the node knows the kit, and nothing is loosened for
it: all 85 cases are tested as DCP 1.0 has them, with exact answers (tests/integration/dcp_cases.py).

The kit takes every refusal for the right one. So what the node wrote about its refusals is counted and printed.
"""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yarl import URL

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from connector.client.api import Api  # noqa: E402 - after the path is set
from tests.tck.run import OUT, HarnessError, free_ports, serve, started  # noqa: E402 - after the path is set

TOOL: Final = ROOT.parent / "shared" / "tools" / "dcp-tck"
HERE: Final = ROOT / "tests" / "tck"
KIT: Final = "1.0.0-RC6"
"""The version that the exceptions are about."""
_BARE: Final = "its presentations have no @context, its credentials neither a context nor the type VerifiableCredential"


@dataclass(frozen=True, slots=True)
class Role:
    """What the node plays: how many cases that is, and which the kit gets wrong, each with the reason."""

    name: str
    cases: int
    excepted: Mapping[str, str]


VERIFIER: Final = Role(
    "verifier",
    20,
    {
        "verifier_04_03_03_idTokenJtiUsedTwice": f"wants the first message let in: {_BARE}",
        "verifier_05_01_presentationResponse_success": f"wants it let in: {_BARE}",
        "verifier_05_04_02_02_presentationResponse_tooManyCredentials": f"wants it let in: {_BARE}",
    },
)
WALLET: Final = Role(
    "wallet",
    40,
    {
        "cs_05_04_01_02_invalidScopeEscalationRequest": "wants a refusal; DCP 1.0 (5.4.1) has what is granted be shown",
    },
)
ISSUER: Final = Role(
    "issuer",
    25,
    {
        "is_6_4_1_credentialRequest": "its wallet takes only the format VC1_0_JWT, which is no profile of DCP 1.0",
    },
)


def did_of(port: int, path: str = "") -> str:
    """The did:web of somebody on this machine."""
    return f"did:web:localhost%3A{port}" + (f":{path}" if path else "")


async def run_kit(role: Role, properties: Mapping[str, str], *, verbose: bool) -> int:
    """Run one role's cases; the tool's exit code: 0 when each passed, apart from the excepted."""
    folder = OUT / f"{role.name}-kit"
    file = OUT / f"{role.name}.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()), encoding="utf-8")
    command = [sys.executable, str(TOOL), "-c", str(file), "--role", role.name, "--kit", KIT, "--out", str(folder)]
    for case, reason in role.excepted.items():
        _say(f"excepted  {case}: {reason}")
        command += ["--except", case]
    process = await asyncio.create_subprocess_exec(*command, *(["-v"] if verbose else []))
    return await process.wait()


async def verifier(*, verbose: bool) -> int:
    """The node lets in whom the kit's issuer vouches for, and nobody else."""
    port, kit = free_ports(2)
    overlay = {
        "CONNECTOR_NODE_DID": did_of(port),
        "CONNECTOR_PUBLIC_URL": f"http://localhost:{port}",
        "CONNECTOR_PUBLIC_PORT": str(port),
        "CONNECTOR_TRUSTED_ISSUERS": f"{did_of(kit, 'issuer')}=MembershipCredential",
    }
    async with serve("verifier", overlay, HERE / "verifier.toml") as node:
        properties = {
            "dataspacetck.did.verifier": node.id,
            "dataspacetck.vpp.trigger.endpoint": f"{node.root}/2025-1/catalog/request",
            "dataspacetck.host": "127.0.0.1",
            "dataspacetck.port": str(kit),
            "dataspacetck.callback.address": f"http://localhost:{kit}",
            "dataspacetck.debug": "true",
        }
        code = await run_kit(VERIFIER, properties, verbose=verbose)
    _say(f"refused   {_refusals(OUT / 'verifier.log')}")
    return code


async def wallet(*, verbose: bool) -> int:
    """The node keeps what the kit's issuer delivers, and shows it to whom its token service has granted it."""
    port, kit = free_ports(2)
    secret = secrets.token_urlsafe(16)
    overlay = {
        "CONNECTOR_NODE_DID": did_of(port),
        "CONNECTOR_PUBLIC_URL": f"http://localhost:{port}",
        "CONNECTOR_PUBLIC_PORT": str(port),
        "CONNECTOR_TRUSTED_ISSUERS": f"{did_of(kit, 'issuer')}=MembershipCredential+SensitiveDataCredential",
        "TCK_STS_SECRET": secret,
    }
    async with serve("wallet", overlay, HERE / "wallet.toml") as node:
        properties = {
            "dataspacetck.did.holder": node.id,
            "dataspacetck.sts.url": f"{URL(node.client.api.url).origin()}/sts",
            "dataspacetck.sts.client.id": "tck",
            "dataspacetck.sts.client.secret": secret,
            "dataspacetck.host": "127.0.0.1",
            "dataspacetck.port": str(kit),
            "dataspacetck.callback.address": f"http://localhost:{kit}",
            "dataspacetck.debug": "true",
        }
        code = await run_kit(WALLET, properties, verbose=verbose)
    _say(f"refused   {_refusals(OUT / 'wallet.log')}")
    return code


async def issuer(*, verbose: bool) -> int:
    """The authority issues to whom its operator has registered, the kit's holder, and to nobody else."""
    port, management, kit = free_ports(3)
    key, file = secrets.token_urlsafe(16), HERE / "issuer.toml"
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TCK_API_KEY": key,
        "AUTHORITY_AUTHORITY_DID": did_of(port),
        "AUTHORITY_AUTHORITY_DATA": str(OUT / "issuer"),
        "AUTHORITY_PUBLIC_URL": f"http://localhost:{port}",
        "AUTHORITY_PUBLIC_PORT": str(port),
        "AUTHORITY_MANAGEMENT_PORT": str(management),
    }
    command = [sys.executable, "-m", "connector", "authority", "serve", "--config", str(file)]
    url = f"http://127.0.0.1:{management}/management"
    async with Api(url, key) as api, started("issuer", command, env, lambda: api.get("/members")):
        await api.post("/members", {"bpn": "BPNL0000TCKHOLDR", "did": did_of(kit, "holder")})
        properties = {
            "dataspacetck.did.issuer": did_of(port),
            "dataspacetck.host": "127.0.0.1",
            "dataspacetck.port": str(kit),
            "dataspacetck.callback.address": f"http://localhost:{kit}",
            "dataspacetck.debug": "true",
        }
        code = await run_kit(ISSUER, properties, verbose=verbose)
    _say(f"refused   {_refusals(OUT / 'issuer.log')}")
    return code


def _refusals(log: Path) -> str:
    """How often the node refused by which check."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    checks = Counter(line["check"] for line in lines if line.get("event") == "denied")
    return ", ".join(f"{check} {count}" for check, count in checks.most_common()) or "nothing"


def _summary(roles: Iterable[Role]) -> str:
    """All roles in one line, as test runners end; the excepted cases stand apart, whatever became of them."""
    wanted = passed = excepted = 0
    for role in roles:
        found = json.loads((OUT / f"{role.name}-kit" / "summary.json").read_text(encoding="utf-8"))
        wanted += role.cases - len(role.excepted)
        passed += found["passed"] - len(role.excepted.keys() - found["failures"].keys())
        excepted += len(role.excepted)
    return f"{passed} passed, {wanted - passed} failed, {excepted} excepted"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-v", "--verbose", action="store_true", help="print each case")
    options = parser.parse_args()
    if not TOOL.is_file():
        _say("skipped: the DCP kit's runner (../shared/tools/dcp-tck) is not beside this repository")
        return 0
    roles, runs = (VERIFIER, WALLET, ISSUER), (verifier, wallet, issuer)
    for role in roles:
        shutil.rmtree(OUT / role.name, ignore_errors=True)
        shutil.rmtree(OUT / f"{role.name}-kit", ignore_errors=True)
    OUT.mkdir(parents=True, exist_ok=True)
    try:
        code = max(asyncio.run(run(verbose=options.verbose)) for run in runs)
        _say(_summary(roles))
    except HarnessError as error:
        _say(f"the conformance kit could not be run: {error}")
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
