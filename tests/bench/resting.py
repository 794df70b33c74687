"""What a node costs before it does anything: its start, its memory, and its idleness."""

import asyncio
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final, cast

from connector import wiring
from connector.config import Config
from connector.identity.did import did_of_url
from connector.sandbox.nodes import Sandbox, sandbox
from connector.sandbox.ports import HOST, Ports
from connector.storage.sqlite import SqliteStore
from tests.bench.report import Report, Target

START: Final = Target(1.0)
RESIDENT: Final = Target(90)
PROCESSOR: Final = Target(0.05)
STATEMENTS: Final = Target(0)
TARGET_S: Final = 20.0
"""The target for processor time is about this many seconds."""
SETTLE_S: Final = 1.0
MINUTE_S: Final = 60.0


async def starts(times: int, report: Report) -> None:
    """Start a node that is alone, each time in a new folder, until its listeners are up."""
    took = []
    for _ in range(times):
        async with sandbox(1) as box:
            took += [member.process.ready_s for member in box.members.values()]
    report.add("start to ready", "s", took, START)


async def idle(box: Sandbox, seconds: float, report: Report) -> None:
    """Leave a pair of nodes alone, and beside it a node in this process, whose statements can be counted."""
    pids = [member.process.process.pid for member in box.members.values()]
    with tempfile.TemporaryDirectory(prefix="connector-bench-") as folder, Ports() as ports:
        port = ports.take()
        config = Config(
            did=did_of_url(f"http://localhost:{port}"),
            bpn="BPNL000000000IDLE",
            data=Path(folder),
            development=True,
            url=f"http://{HOST}:{port}",
            host=HOST,
            port=port,
            management_host=HOST,
            management_port=0,
            management_key=secrets.token_urlsafe(16),
        )
        ports.hand_over()
        async with wiring.start(config) as running:
            store = cast("SqliteStore", running.node.store)
            await asyncio.sleep(SETTLE_S)
            statements, before = store.statements, [processor_s(pid) for pid in pids]
            await asyncio.sleep(seconds)
            used = [processor_s(pid) - spent for pid, spent in zip(pids, before, strict=True)]
            ran = store.statements - statements
    report.add("idle, resident memory", "MB", [resident_mb(pid) for pid in pids], RESIDENT)
    report.add(f"idle, processor time in {TARGET_S:g} s", "s", [u * TARGET_S / seconds for u in used], PROCESSOR)
    report.add("idle, SQL statements in a minute", "", [ran * MINUTE_S / seconds], STATEMENTS)


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_s(pid: int) -> float:
    """User and system time of a process so far, in the kernel's steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
