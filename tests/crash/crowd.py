"""A node that starts with ten thousand open transfers, and with as many messages to a peer that is gone.

The rows are copies of one real exchange, so they are what a node writes itself.
"""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.client import template
from connector.sandbox.ports import Ports
from connector.wiring import DATABASE
from tests.crash.nodes import ASSET, Pair, pair_of_nodes

OWN: Final[dict[str, tuple[str, ...]]] = {
    "negotiation": ("id", "peer_pid", "agreement_id"),
    "agreement": ("id", "negotiation_id"),
    "transfer": ("id", "peer_pid", "agreement_id"),
    "access_grant": ("id", "agreement_id"),
    "timer": ("id", "subject"),
}
"""What differs between one exchange and the next."""
MESSAGE: Final = """
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)
    INSERT INTO outbox (id, created_at, topic, kind, event, url, body, audience, due_at, attempts, dead)
    SELECT 'crowd-' || i, :now, 'crowd-' || i, 'transfer', 'TERMINATE', :url, x'7b7d', :audience, :now, 0, 0 FROM n
"""


@dataclass(frozen=True, slots=True)
class Start:
    """How a start went: seconds until ready and for the first new exchange, resident MiB after that."""

    what: str
    ready_s: float
    exchange_s: float
    resident: float


async def starts(folder: Path, count: int) -> list[Start]:
    """The cell maker's start: as it is, with `count` open transfers, and with `count` messages to nobody as well."""
    async with pair_of_nodes(folder) as pair:
        await _publish_for_years(pair)
        await pair.exchange()
        measured = [await _start(pair, "one open transfer")]
        await pair.maker.process.stop()
        database = pair.maker.folder / "data" / DATABASE
        await asyncio.to_thread(copy_exchanges, database, count)
        measured.append(await _start(pair, f"{count} open transfers"))
        await pair.maker.process.stop()
        with Ports() as ports:
            await asyncio.to_thread(promise, database, count, ports.take())
            measured.append(await _start(pair, f"and {count} messages to a peer that is gone"))
        return measured


async def _publish_for_years(pair: Pair) -> None:
    """An agreement with an end has a timer."""
    await pair.publish()
    async with pair.maker.client() as maker:
        access, contract = (template(name, [pair.oem.who.bpn]) for name in ("by-bpn", "by-bpn-until-date"))
        await maker.offer("offer", [ASSET], access=access, contract=contract)


async def _start(pair: Pair, what: str) -> Start:
    await pair.maker.process.stop()
    ready_s = await pair.maker.start()
    began = time.monotonic()
    await pair.exchange()
    return Start(what, ready_s, time.monotonic() - began, _resident(pair.maker.pid))


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def copy_exchanges(database: Path, count: int) -> None:
    """Copy the newest exchange of a database that nobody has open."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for kind, own in OWN.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({kind})")]
            copied = ", ".join(_copied(name, name in own) for name in names)
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"  # noqa: S608 - our own names
                f" INSERT INTO {kind} ({', '.join(names)}) SELECT {copied}"
                f" FROM n, (SELECT * FROM {kind} ORDER BY rowid DESC LIMIT 1)",
                (count,),
            )


def _copied(column: str, own: bool) -> str:
    """One counterparty may not have as many open transfers as that: there are a hundred."""
    if column in ("peer_id", "consumer_id"):
        return f"{column} || '-' || n.i % 100"
    return f"{column} || '-' || n.i" if own else column


def promise(database: Path, count: int, port: int) -> None:
    """Put messages into a node's outbox for a port where nobody listens."""
    values = {
        "count": count,
        "now": time.time_ns() // 1_000_000,
        "url": f"http://127.0.0.1:{port}/2025-1/transfers/x/termination",
        "audience": "did:web:gone.example",
    }
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(MESSAGE, values)
